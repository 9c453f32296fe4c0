import type { Bag, Context } from '@iopa/appbuilder'
import type { Target } from './targets.ts'

/** What a server is given as credentials: CoAP has no header fields, so they are parts of the query or options. */
export interface TargetCredentials {
  /** Parts of the query, percent-encoded: `key=4711`. */
  readonly query?: string
  /** Options, each `[number, value]`. */
  readonly options?: readonly (readonly [number: number, value?: Uint8Array | string | number])[]
}

/** Gives the credentials for a server, such as `coap://192.0.2.7:5683`; undefined for none. */
export type CredentialsFor = (target: string, context: Context) => TargetCredentials | undefined | Promise<TargetCredentials | undefined>

/** The request with the credentials for its server. */
export const withCredentials = async (request: Bag, target: Target, context: Context, credentials: CredentialsFor | undefined): Promise<Bag> => {
  const given = await credentials?.(target.key, context)
  if (given === undefined || given === null) return request
  const { query = '', options = [] } = given
  // What the user sends under the name of a credential would be taken for it by a server that reads the first one.
  const [names, numbers] = [new Set(query.split('&').map(nameOf)), new Set(options.map(([number]) => number))]
  const parts = (request['iopa.QueryString'] ?? '').split('&').filter(part => part !== '' && (query === '' || !names.has(nameOf(part))))
  return {
    ...request,
    'iopa.QueryString': [...parts, query].filter(part => part).join('&'),
    'coap.Options': [...(request['coap.Options'] ?? []).filter(([number]) => !numbers.has(number)), ...options]
  }
}

/** The name of a part of a query, as a server reads it. */
const nameOf = (part: string): string => [...new URLSearchParams(part).keys()][0] ?? ''
