import { type InputFault, IopaError, isIopaError, type ReceivedAnswer, type ResourceContract, type ResourceTypes } from '@iopa/transport'

/** Codes that any resource may answer with. */
const COMMON = ['invalid-input', 'precondition-failed', 'not-found', 'forbidden', 'unauthorized'] as const

type CommonCode = (typeof COMMON)[number]

/** The codes that the methods of a resource declare. */
type DeclaredCode<Types extends ResourceTypes> = Extract<Types['methods'][keyof Types['methods']]['errors'], { readonly code: string }>['code']

/** An error of a resource: one that its contract declares, or one that any resource may answer with. */
export interface ResourceProblem<Code extends string> extends IopaError {
  readonly code: Code
  /** `errors` of `invalid-input` names each fault, where the protocol carries problems: CoAP has the first fault in `detail` alone. */
  readonly extensions: (Readonly<Record<string, unknown>> & { readonly errors?: readonly InputFault[] }) | undefined
}

/** True for an error that the contract declares, or that any resource may answer with; `code` says which. */
export const isProblem = <Types extends ResourceTypes>(
  contract: ResourceContract<Types>,
  error: unknown
): error is ResourceProblem<DeclaredCode<Types> | CommonCode> =>
  isIopaError(error) &&
  ((COMMON as readonly string[]).includes(error.code) || Object.values(contract.methods).some(({ errors = {} }) => Object.hasOwn(errors, error.code)))

/** The problem of an answer that is not 2xx. */
export const problemOf = async (answer: ReceivedAnswer, name: string): Promise<IopaError> => {
  // What a stream says of the problem has to be read first.
  if (answer.status >= 400) await answer.bytes()
  return answer.error ?? new IopaError(502, 'bad-answer', `${name} was answered with ${answer.status}, which is not what the contract promises.`)
}
