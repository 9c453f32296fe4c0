import type { ResourceContract, ResourceTypes } from './resources.ts'

/** How a collection lists the instances of another resource. */
export interface CollectionContract {
  readonly item: ResourceContract
  /** The parameter of the item's path that the collection's path does not have. */
  readonly id: string
  /** POST creates an item, with an id that the server chooses. */
  readonly create: boolean
  /** Most items of one page. */
  readonly page: number
  /**
   * Members of the representation that a query may compare with: an item is listed where the text of its member, as `String(value)` writes it, is
   * that of the query.
   */
  readonly filter: readonly string[]
}

/** One item of a collection. */
export interface CollectionItem<State = unknown> {
  /** The value of the parameter that the collection's path does not have. */
  readonly id: string
  /** The representation of the item, computed members included. */
  readonly state: State
}

/** One page of a collection, which is its representation. */
export interface CollectionPage<State = unknown> {
  readonly items: readonly CollectionItem<State>[]
  /** Where the next page starts: the value of `after` in its query. Missing on the last page. */
  readonly next?: string
}

/** Which items a request asks for. */
export type CollectionQuery<Filter extends string = never> = {
  /** `next` of the page before; what is in it is known to the server alone. */
  readonly after?: string
  /** Most items of the page, 1 to the `page` of the collection. */
  readonly limit: number
} & { readonly [Name in Filter]?: string }

/** The same, as a client writes it; a `limit` above the `page` of the collection means that. */
export type CollectionQueryInput<Filter extends string = never> = {
  readonly after?: string
  readonly limit?: number
} & { readonly [Name in Filter]?: string | number | boolean }

/** The types of a collection of `Item`. */
export interface CollectionTypes<Params, Item extends ResourceTypes, Create, Filter extends string> extends ResourceTypes {
  readonly params: Params
  readonly paramsInput: Params
  readonly state: CollectionPage<Item['state'] & Item['computed']>
  readonly stateInput: CollectionPage<Item['state'] & Item['computed']>
  readonly computed: unknown
  readonly methods: CollectionMethods<Item, Filter, Create>
}

type CollectionMethods<Item extends ResourceTypes, Filter extends string, Create> = Create extends true
  ? { readonly get: ListTypes<Item, Filter>; readonly post: CreateTypes<Item> }
  : { readonly get: ListTypes<Item, Filter> }

/** GET of a collection. */
interface ListTypes<Item extends ResourceTypes, Filter extends string> {
  readonly query: CollectionQuery<Filter>
  readonly queryInput: CollectionQueryInput<Filter>
  readonly headers: unknown
  readonly headersInput: unknown
  readonly input: unknown
  readonly inputInput: unknown
  readonly answer: CollectionPage<Item['state'] & Item['computed']>
  readonly errors: never
}

/** POST of a collection: 201 with the path of the new item in Location. */
interface CreateTypes<Item extends ResourceTypes> {
  readonly query: URLSearchParams
  readonly queryInput: Readonly<Record<string, string | readonly string[]>>
  readonly headers: unknown
  readonly headersInput: unknown
  readonly input: Item['state']
  readonly inputInput: Item['stateInput']
  readonly answer: CollectionItem<Item['state'] & Item['computed']>
  readonly errors: never
}
