import {
  type CollectionTypes,
  IopaError,
  METHODS,
  type PathParams,
  paramNames,
  parsePattern,
  type ResourceContract,
  type ResourceTypes,
  type Schema,
  type SchemaIssue,
  type SchemaResult,
  type SecurityScheme
} from '@iopa/transport'
import { isRecord, jsonSchemaOf, schemaOf, validateParts } from './representation.ts'

/** A collection as it is declared. */
export interface CollectionDefinition<Member extends string = string> {
  readonly title?: string
  readonly description?: string
  readonly rt?: string
  readonly if?: string
  /** True lets POST create an item from its state. */
  readonly create?: boolean
  /** Most items of one page; 100 unless given. */
  readonly page?: number
  /** Members of the item that a query may compare with, such as `['on']` for `?on=true`. */
  readonly filter?: readonly Member[]
  readonly security?: readonly SecurityScheme[]
}

/** The names of members that a query can compare with: those whose text says all. */
type FilterName<State> = { [Name in keyof State]-?: State[Name] extends string | number | boolean | null | undefined ? Name : never }[keyof State] &
  string

const PAGE = 100
const LARGEST_PAGE = 10_000

/**
 * Declares the collection of a resource: GET lists pages of its items, `{ items: [{ id, state }], next? }`, with `after`, `limit` and the members of
 * `filter` as query; with `create`, POST takes the state of an item and answers 201 with its path in Location. The id of an item is the one parameter
 * of its path that the path of the collection does not have.
 * @throws IopaError 500 where there is no such parameter, or more than one.
 */
export const collection = <
  Item extends ResourceTypes,
  const Pattern extends string,
  const Definition extends CollectionDefinition<FilterName<Item['state'] & Item['computed']>>
>(
  item: ResourceContract<Item>,
  pattern: Pattern,
  definition: Definition = {} as Definition
): ResourceContract<
  CollectionTypes<PathParams<Pattern>, Item, Definition['create'], Definition['filter'] extends readonly (infer Name extends string)[] ? Name : never>
> => {
  const { create = false, page = PAGE, filter = [], ...rest }: CollectionDefinition = definition
  const id = idOf(item, pattern)
  checkPage(pattern, page)
  const taken = filter.find(name => name === 'after' || name === 'limit')
  if (taken !== undefined) throw badCollection(pattern, `cannot filter by "${taken}", which its query has already: give the member another name`)
  const representation = item.methods[METHODS.GET]?.answer ?? item.state
  const one = itemSchema(representation)
  const state = pageSchema(one)
  const get = { query: querySchema(page, filter), answer: state }
  const post = { ...(item.state === undefined ? undefined : { input: item.state }), answer: one }
  return Object.freeze({
    ...rest,
    pattern,
    version: 1,
    state,
    methods: Object.freeze({ [METHODS.GET]: get, ...(create ? { [METHODS.POST]: post } : undefined) }),
    collection: Object.freeze({ item: item as ResourceContract, id, create, page, filter: Object.freeze([...filter]) })
  })
}

const badCollection = (pattern: string, why: string): IopaError => new IopaError(500, 'bad-resource', `The collection ${pattern} ${why}.`)

const namesOf = (pattern: string): readonly string[] => parsePattern(pattern).segments.flatMap(paramNames)

/** The parameter that only the item has. */
const idOf = (item: ResourceContract, pattern: string): string => {
  const [own, items] = [namesOf(pattern), namesOf(item.pattern)]
  const strange = own.find(name => !items.includes(name))
  if (strange !== undefined) throw badCollection(pattern, `has the parameter "${strange}", which its item ${item.pattern} does not have`)
  const [id, ...others] = items.filter(name => !own.includes(name))
  if (id !== undefined && others.length === 0) return id
  throw badCollection(
    pattern,
    `needs an item with one parameter more than its own, such as ${pattern === '/' ? '' : pattern}/{id}, not ${item.pattern}`
  )
}

const checkPage = (pattern: string, page: number): void => {
  if (!Number.isInteger(page) || page < 1 || page > LARGEST_PAGE)
    throw badCollection(pattern, `needs a page of 1 to ${LARGEST_PAGE} items, not ${String(page)}`)
}

const ANYTHING: Schema = schemaOf(
  value => ({ value }),
  () => ({})
)
const TEXT: Schema = schemaOf(
  value => (typeof value === 'string' ? { value } : { issues: [{ message: 'Expected a string' }] }),
  () => ({ type: 'string' })
)

const expectedObject: SchemaResult<unknown> = { issues: [{ message: 'Expected an object' }] }

const itemSchema = (representation: Schema = ANYTHING): Schema =>
  schemaOf(
    value =>
      isRecord(value)
        ? validateParts(
            [
              { path: ['id'], schema: TEXT, value: value.id },
              { path: ['state'], schema: representation, value: value.state }
            ],
            ([id, state]) => ({ id, state })
          )
        : expectedObject,
    options => ({
      type: 'object',
      properties: { id: { type: 'string' }, state: jsonSchemaOf(representation, options) },
      required: ['id', 'state']
    })
  )

const pageSchema = (item: Schema): Schema =>
  schemaOf(
    value => {
      if (!isRecord(value)) return expectedObject
      const { items, next } = value
      if (!Array.isArray(items)) return { issues: [{ message: 'Expected an array', path: ['items'] }] }
      const parts = items.map((one, n) => ({ path: ['items', n], schema: item, value: one }))
      const cursor = next === undefined ? [] : [{ path: ['next'], schema: TEXT, value: next }]
      return validateParts([...parts, ...cursor], outputs => ({
        items: outputs.slice(0, items.length),
        ...(next === undefined ? undefined : { next })
      }))
    },
    options => ({
      type: 'object',
      properties: { items: { type: 'array', items: jsonSchemaOf(item, options) }, next: { type: 'string' } },
      required: ['items']
    })
  )

/** Parameters of the query; those that it does not know are left out. */
const querySchema = (page: number, filter: readonly string[]): Schema => {
  const texts = ['after', ...filter]
  return schemaOf(
    value => {
      const given = value as Readonly<Record<string, unknown>>
      const issues: SchemaIssue[] = []
      const query: Record<string, unknown> = Object.create(null)
      for (const name of texts) {
        const text = Object.hasOwn(given, name) ? given[name] : undefined
        if (typeof text === 'string') query[name] = text
        else if (text !== undefined) issues.push({ message: 'Expected one value', path: [name] })
      }
      const limit = Object.hasOwn(given, 'limit') ? Number(given.limit) : page
      if (Number.isInteger(limit) && limit > 0) query.limit = Math.min(limit, page)
      else issues.push({ message: 'Expected a whole number from 1', path: ['limit'] })
      return issues.length > 0 ? { issues } : { value: query }
    },
    () => ({
      type: 'object',
      properties: Object.fromEntries([
        ...texts.map(name => [name, { type: 'string' }]),
        ['limit', { type: 'integer', minimum: 1, maximum: page, default: page }]
      ])
    })
  )
}
