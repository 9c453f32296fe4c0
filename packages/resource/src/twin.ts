import { IopaError } from '@iopa/constants'
import {
  type InputOf,
  type OutputOf,
  type PathParams,
  parsePattern,
  type Schema,
  type SecurityScheme,
  type TwinContract,
  type TwinTypes
} from '@iopa/transport'
import { isRecord, jsonSchemaOf, schemaOf, validateParts } from './representation.ts'
import { resource } from './resource.ts'

/** A device twin as it is declared. */
export interface TwinDefinition {
  readonly title?: string
  readonly description?: string
  /** Resource types of the twin, separated by spaces (RFC 6690 section 3.1). */
  readonly rt?: string
  /** Of the parameters of the path; without it they are strings. */
  readonly params?: Schema
  /** Of what the device says of itself. It must take any part of it, `{}` included: make all members optional. Null stands for no member. */
  readonly reported: Schema
  /** Of what the device should be, in the same way. */
  readonly desired: Schema
  readonly security?: readonly SecurityScheme[]
  /** Counts the shapes of both parts together, from 1. */
  readonly version?: number
  /** Makes the parts of this version from those of an earlier one. A part without a function has kept its shape. */
  readonly migrate?: TwinMigration
}

/** For each part, the members of the present version from those of an earlier one. It throws for what it cannot migrate. */
export interface TwinMigration {
  readonly reported?: (old: unknown, version: number) => unknown
  readonly desired?: (old: unknown, version: number) => unknown
}

/** The types of a declaration. */
export interface DefinedTwin<Pattern extends string, D extends TwinDefinition> extends TwinTypes {
  readonly params: D['params'] extends Schema ? OutputOf<D['params']> : PathParams<Pattern>
  readonly paramsInput: D['params'] extends Schema ? InputOf<D['params']> : PathParams<Pattern>
  readonly reported: OutputOf<D['reported']>
  readonly reportedInput: InputOf<D['reported']>
  readonly desired: OutputOf<D['desired']>
  readonly desiredInput: InputOf<D['desired']>
}

/**
 * Declares a device twin: its own resource, and one each at `/reported`, `/desired`, `/delta` and `/presence` below it. A value without handlers: `twins`
 * of `@iopa/store` serves it, and a typed client reads `twin.delta` like any other resource.
 * @throws IopaError 500 where the pattern is not valid.
 */
export const twin = <const Pattern extends string, const Definition extends TwinDefinition>(
  pattern: Pattern,
  definition: Definition
): TwinContract<DefinedTwin<Pattern, Definition>> => {
  parsePattern(pattern)
  if (typeof definition.migrate === 'function')
    throw new IopaError(500, 'bad-resource', `The twin ${pattern} has one function as migrate: give one for each part, { reported, desired }.`)
  const { title, description, rt, params, reported, desired, security, version, migrate }: TwinDefinition = definition
  const common = {
    ...(params === undefined ? undefined : { params }),
    ...(security === undefined ? undefined : { security }),
    ...(version === undefined ? undefined : { version })
  }
  const migrated = (name: 'reported' | 'desired') => (migrate === undefined ? {} : { migrate: migrate[name] ?? ((old: unknown) => old) })
  const part = (name: string, what: string, state: Schema, methods: Readonly<Record<string, object>>, more: object = {}): unknown =>
    resource(`${pattern}/${name}`, {
      ...common,
      ...more,
      title: title === undefined ? what : `${title}: ${what}`,
      state,
      methods
    })
  const read = { get: {} }
  const changed = { get: {}, put: {}, patch: {}, ipatch: {} }
  const told = { get: {}, put: { headers: HEADERS }, patch: { headers: HEADERS }, ipatch: { headers: HEADERS } }
  const whole = resource(pattern, {
    ...common,
    ...(title === undefined ? undefined : { title }),
    ...(description === undefined ? undefined : { description }),
    ...(rt === undefined ? undefined : { rt }),
    state: wholeSchema(reported, desired),
    methods: { get: {}, delete: {} }
  })
  return Object.freeze({
    ...whole,
    reported: part('reported', 'what it reports', reported, told, migrated('reported')),
    desired: part('desired', 'what it should be', desired, changed, migrated('desired')),
    delta: part('delta', 'what it still has to do', desired, read),
    presence: part('presence', 'whether it is connected', PRESENCE, read, { version: 1 })
  }) as unknown as TwinContract<DefinedTwin<Pattern, Definition>>
}

/** Which delta a report has seen, as a header. */
const HEADERS: Schema = schemaOf(
  value => ({ value }),
  () => ({ type: 'object', properties: { 'iopa-seen': { type: 'string', description: 'The ETag of the delta that the device has read and done.' } } })
)

const PRESENCE: Schema = schemaOf(
  value => ({ value }),
  () => ({
    type: 'object',
    properties: {
      connected: { type: 'boolean' },
      connections: { type: 'integer', minimum: 0 },
      lastSeen: { type: ['string', 'null'], description: 'A date and time (RFC 3339).' }
    },
    required: ['connected', 'connections', 'lastSeen']
  })
)

const PARTS = ['reported', 'desired', 'delta'] as const

const wholeSchema = (reported: Schema, desired: Schema): Schema =>
  schemaOf(
    value =>
      isRecord(value)
        ? validateParts(
            PARTS.map(name => ({ path: [name], schema: name === 'reported' ? reported : desired, value: value[name] })),
            parts => ({ version: value.version, ...Object.fromEntries(PARTS.map((name, n) => [name, parts[n]])) })
          )
        : { issues: [{ message: 'Expected an object' }] },
    options => ({
      type: 'object',
      properties: {
        version: { type: 'integer', minimum: 0 },
        reported: jsonSchemaOf(reported, options),
        desired: jsonSchemaOf(desired, options),
        delta: jsonSchemaOf(desired, options)
      },
      required: ['version', ...PARTS]
    })
  )
