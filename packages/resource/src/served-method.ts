import type { Context, Next } from '@iopa/appbuilder'
import type { CheckedHandler, MethodContract, ResourceContract } from '@iopa/appbuilder/extension'
import { isIopaError, METHODS } from '@iopa/constants'
import { type AnswerCheck, answerCheck } from './answers.ts'
import { bodyPart, type Prepare, partsOf, type ReplicaFault, type RequestPart, takeParts } from './parts.ts'
import { patchParts } from './patch/patch-body.ts'
import { ServedRequest } from './served-request.ts'
import { presentState, STATE_VERSION } from './versions.ts'

/** Handles a request whose parts are valid. */
export type Handler = (request: ServedRequest, next: Next) => unknown

/** How an app serves resources. */
export interface Serving {
  readonly checksAnswers: boolean
  /** Logs the fault of a replica; `name` is the method and the pattern. */
  readonly replicaFault: (name: string, request: ServedRequest, error: unknown) => void
}

const isPatch = (method: string): boolean => method === METHODS.PATCH || method === METHODS.IPATCH

/** The parts of the requests of one method, in order. */
export const partsOfMethod = (contract: ResourceContract, method: string, declared: MethodContract, { replicaFault }: Serving): RequestPart[] => {
  const name = `${method} ${contract.pattern}`
  const tolerate: ReplicaFault = (request, error) => replicaFault(name, request, error)
  const parts = partsOf({ params: contract.params, query: declared.query, headers: declared.headers }, name, tolerate)
  if (isPatch(method)) return [...parts, ...patchParts(contract, method, tolerate)]
  if (declared.input === undefined) return parts
  return [...parts, bodyPart(declared.input, name, method === METHODS.PUT ? setAside(presentState(contract), tolerate) : undefined, tolerate)]
}

/** A replica that cannot be migrated is logged before it is refused: the worker that sent it does not get the answer. */
const setAside =
  (prepare: Prepare, tolerate: ReplicaFault): Prepare =>
  (request, body) => {
    try {
      return prepare(request, body)
    } catch (error) {
      if (request.context['server.IsReplica'] && isIopaError(error)) tolerate(request, error)
      throw error
    }
  }

/** The check of what a method answers; undefined where there is none. */
const checkOf = (contract: ResourceContract, method: string, { answer }: MethodContract, { checksAnswers }: Serving): AnswerCheck | undefined =>
  checksAnswers && answer !== undefined ? answerCheck(answer, `${method} ${contract.pattern}`) : undefined

/** One method of a resource as the handler of a route. */
export const servedMethod = (
  contract: ResourceContract,
  method: string,
  declared: MethodContract,
  handler: Handler,
  serving: Serving,
  exclusive = false
): CheckedHandler =>
  checkedHandler(
    partsOfMethod(contract, method, declared, serving),
    versioned(contract, method, handler),
    checkOf(contract, method, declared, serving),
    exclusive
  )

/** GET names the version of its state, unless that is the first. */
const versioned = ({ version }: ResourceContract, method: string, handler: Handler): Handler => {
  if (version === 1 || method !== METHODS.GET) return handler
  const text = String(version)
  return (request, next) => {
    request.context.response.headers.set(STATE_VERSION, text)
    return handler(request, next)
  }
}

/** Validation, a handler and the check of its answer, made once for a route: a request without a part that waits runs at once. */
export const checkedHandler = (
  parts: readonly RequestPart[],
  handler: Handler,
  check: AnswerCheck | undefined,
  exclusive: boolean
): CheckedHandler => {
  const run: Handler = check === undefined ? handler : (request, next) => check(request, handler(request, next))
  const handle =
    parts.length === 0
      ? (context: Context, next: Next) => run(new ServedRequest(context), next)
      : (context: Context, next: Next) => {
          const taken = takeParts(parts, new ServedRequest(context))
          return taken instanceof Promise ? taken.then(request => run(request, next)) : run(taken, next)
        }
  return Object.assign(handle, {
    check: (context: Context) => takeParts(parts, new ServedRequest(context)),
    perform: (checked: unknown, _: Context, next: Next) => run(checked as ServedRequest, next),
    exclusive
  })
}
