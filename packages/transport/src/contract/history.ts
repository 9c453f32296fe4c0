import type { MethodTypes, ResourceContract, ResourceTypes } from './resources.ts'
import type { JsonSchemaOptions, Schema, SchemaResult } from './schemas.ts'

/** A state that a document had, or its deletion. */
export interface HistoryItem<State = unknown> {
  readonly version: number
  /** When it was changed (RFC 3339). */
  readonly time: string
  /** The representation, computed members included; missing for a deletion. */
  readonly state?: State
  /** True for a deletion. */
  readonly deleted?: true
}

/** States of a document, the oldest first. */
export interface HistoryPage<State = unknown> {
  readonly items: readonly HistoryItem<State>[]
  /** `since` of the next page; missing on the last one. */
  readonly next?: number
}

/** Which states a request asks for. */
export interface HistoryQuery {
  /** Those after this version, or from this time (milliseconds since the epoch). */
  readonly since?: { readonly version: number } | { readonly time: number }
  /** Most items of the page. */
  readonly limit: number
}

/** The same, as a client writes it: a version, or a time as in RFC 3339. */
export interface HistoryQueryInput {
  readonly since?: string | number
  /** 100 unless given, 1000 at most. */
  readonly limit?: number
}

/** The types of the history of a resource. */
export interface HistoryTypes<Types extends ResourceTypes> extends ResourceTypes {
  readonly params: Types['params']
  readonly paramsInput: Types['paramsInput']
  readonly state: HistoryPage<Types['state'] & Types['computed']>
  readonly stateInput: HistoryPage<Types['state'] & Types['computed']>
  readonly computed: unknown
  readonly methods: { readonly get: HistoryGet<Types> }
}

interface HistoryGet<Types extends ResourceTypes> extends MethodTypes {
  readonly query: HistoryQuery
  readonly queryInput: HistoryQueryInput
  readonly headers: unknown
  readonly headersInput: unknown
  readonly input: unknown
  readonly inputInput: unknown
  readonly answer: HistoryPage<Types['state'] & Types['computed']>
  readonly errors: never
}

const PAGE = 100
const LARGEST_PAGE = 1000

/** The history of a resource, at `/history` below its path: a store with the option `history` serves it, and typed clients read it. */
export const historyContract = <Types extends ResourceTypes>(contract: ResourceContract<Types>): ResourceContract<HistoryTypes<Types>> => {
  const { pattern, params, security, methods, state, title } = contract
  const get = methods['GET']
  const guarded = get?.security ?? security
  return Object.freeze({
    pattern: `${pattern === '/' ? '' : pattern}/history`,
    version: 1,
    title: title === undefined ? 'Earlier states' : `${title}: earlier states`,
    ...(params === undefined ? undefined : { params }),
    ...(guarded === undefined ? undefined : { security: guarded }),
    methods: Object.freeze({ GET: Object.freeze({ query: QUERY, answer: pageSchema(get?.answer ?? state) }) })
  })
}

type Values = Readonly<Record<string, unknown>>

const VERSION = /^[0-9]{1,15}$/

const readQuery = (value: unknown): SchemaResult<HistoryQuery> => {
  const { since, limit = PAGE } = value as Values
  const most = Number(limit)
  if (!Number.isInteger(most) || most < 1) return { issues: [{ message: 'Expected a whole number from 1', path: ['limit'] }] }
  const page = { limit: Math.min(most, LARGEST_PAGE) }
  if (since === undefined) return { value: page }
  if (typeof since === 'string' && VERSION.test(since)) return { value: { ...page, since: { version: Number(since) } } }
  // Date.parse takes other texts too: a date of RFC 3339 begins with its year.
  const time = typeof since === 'string' && /^\d{4}-/.test(since) ? Date.parse(since) : Number.NaN
  if (!Number.isNaN(time)) return { value: { ...page, since: { time } } }
  return { issues: [{ message: 'Expected a version, or a time such as 2026-01-31T12:00:00Z', path: ['since'] }] }
}

const schema = (validate: (value: unknown) => SchemaResult<unknown>, json: (options: JsonSchemaOptions) => Values): Schema => ({
  '~standard': { version: 1, vendor: 'iopa', validate, jsonSchema: { input: json, output: json } }
})

const QUERY: Schema = schema(readQuery, () => ({
  type: 'object',
  properties: {
    since: { type: 'string', description: 'A version, or a time (RFC 3339).' },
    limit: { type: 'integer', minimum: 1, maximum: LARGEST_PAGE, default: PAGE }
  }
}))

/** Of what a store answers; the states in it have been validated before. */
const pageSchema = (state: Schema | undefined): Schema =>
  schema(
    value => ({ value }),
    options => ({
      type: 'object',
      properties: {
        items: {
          type: 'array',
          items: {
            type: 'object',
            properties: {
              version: { type: 'integer' },
              time: { type: 'string', format: 'date-time' },
              state: state?.['~standard'].jsonSchema?.output(options) ?? {},
              deleted: { const: true }
            },
            required: ['version', 'time']
          }
        },
        next: { type: 'integer' }
      },
      required: ['items']
    })
  )
