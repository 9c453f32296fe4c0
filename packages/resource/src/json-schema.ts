/**
 * Raw JSON Schema as the schema of a resource or route; typebox makes such schemas. It needs the package `ajv`.
 *
 * @example
 * const light = resource('/lights/{id}', { state: jsonSchema<{ on: boolean }>({ type: 'object', ... }), methods: { get: {} } })
 */
import type { JsonSchemaOptions, Schema, SchemaIssue } from '@iopa/transport'
import { IopaError } from '@iopa/transport'
import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js'

/** Options of `jsonSchema`. */
export interface JsonSchemaValidation {
  /** An instance of ajv with formats and keywords of your own. */
  readonly ajv?: Pick<Ajv2020, 'compile'>
}

/** Steps of `$ref` and nesting that a schema may have: one that is its own member would be compiled for ever. */
const DEEPEST = 64
const MOST_VALUES = 100_000

/**
 * A schema of JSON Schema (draft 2020-12), compiled when it is called. Defaults are filled in; types are not coerced, and formats are not asserted
 * unless the given `ajv` has them.
 * @throws IopaError 500 `bad-schema` for what is no JSON Schema, or too large or circular.
 */
export const jsonSchema = <State>(schema: object, { ajv }: JsonSchemaValidation = {}): Schema<State> => {
  const namesAll = isLinear(schema)
  const document = schema as Readonly<Record<string, unknown>>
  const check = compiled(document, ajv ?? new Ajv2020({ allErrors: namesAll, strict: false, useDefaults: true, validateFormats: false }))
  const jsonSchemaFor = ({ target }: JsonSchemaOptions): Readonly<Record<string, unknown>> => {
    if (target !== 'draft-2020-12') throw new TypeError(`A raw JSON Schema is of draft 2020-12, not ${target}.`)
    return document
  }
  return {
    '~standard': {
      version: 1,
      vendor: 'json-schema',
      validate: given => {
        // Defaults are written into the value, which belongs to the caller.
        const value = structuredClone(given)
        return check(value) ? { value: value as State } : { issues: (check.errors ?? []).map(issueOf) }
      },
      jsonSchema: { input: jsonSchemaFor, output: jsonSchemaFor }
    }
  }
}

const compiled = (schema: object, ajv: Pick<Ajv2020, 'compile'>): ValidateFunction => {
  let check: ValidateFunction
  try {
    check = ajv.compile(schema)
  } catch (cause) {
    throw new IopaError(500, 'bad-schema', `This is no JSON Schema of draft 2020-12: ${(cause as Error).message}.`, { cause })
  }
  // Such a function returns a promise, which is true for every value.
  if ('$async' in check && check.$async)
    throw new IopaError(500, 'bad-schema', 'The JSON Schema has $async, which is not of draft 2020-12: remove it.')
  return check
}

/** Keywords whose check may take more than linear time: the bounds beside them, such as maxItems, have to end validation first. */
const COSTLY = ['uniqueItems', 'pattern', 'patternProperties']

/** True for a schema of which all faults can be named in linear time. @throws IopaError 500 `bad-schema` for one that cannot be compiled. */
const isLinear = (schema: unknown): boolean => {
  let left = MOST_VALUES
  let linear = true
  const visit = (value: unknown, depth: number): void => {
    if (typeof value !== 'object' || value === null) return
    if (depth > DEEPEST || left-- < 0)
      throw new IopaError(
        500,
        'bad-schema',
        `The JSON Schema is circular, deeper than ${DEEPEST} levels or larger than ${MOST_VALUES} values: use $ref.`
      )
    if (COSTLY.some(keyword => Object.hasOwn(value, keyword))) linear = false
    for (const member of Object.values(value)) visit(member, depth + 1)
  }
  visit(schema, 0)
  return linear
}

/** A missing or additional member is the fault of its own place. */
const issueOf = ({ instancePath, message = 'is not valid', params }: ErrorObject): SchemaIssue => {
  const steps = instancePath
    .split('/')
    .slice(1)
    .map(step => step.replaceAll('~1', '/').replaceAll('~0', '~'))
  const { missingProperty, additionalProperty } = params as { missingProperty?: string; additionalProperty?: string }
  const member = missingProperty ?? additionalProperty
  return { message, path: member === undefined ? steps : [...steps, member] }
}
