import { IopaError } from '@iopa/appbuilder'
import {
  checkOptions,
  markFactory,
  type ResourceContract,
  type ResourceHandlers,
  type ResourceTypes,
  type ServeHost,
  validate
} from '@iopa/appbuilder/extension'
import { type Clock, systemClock } from '@iopa/transport'
import { DELETED, DocumentChanges, type KeptChange } from './document-changes.ts'
import { DocumentKeys } from './document-keys.ts'
import { Documents, type Kept } from './documents.ts'
import { itemHandlers } from './item-handlers.ts'
import { type Represent, representation } from './representation.ts'
import { type Cause, ServedResources } from './served-resources.ts'
import type { ChangeOptions, DocumentId, ListOptions, Store, StoredDocument, StoreLimits, StoreOptions } from './store-types.ts'
import type { MaybePromise } from './turns.ts'

const OPTIONS: Record<keyof StoreOptions<ResourceTypes>, true> = { initial: true, computed: true, handlers: true, limits: true, clock: true }

const LIMITS: Required<StoreLimits> = { documents: 100_000, bytes: 256 * 2 ** 20, documentBytes: 2 ** 20, tombstones: 10_000 }

/**
 * Keeps the documents of a declared resource: `app.serve(light, store(light))`.
 * @throws IopaError 500 where the options do not fit the contract.
 */
export const store = <Types extends ResourceTypes>(contract: ResourceContract<Types>, options: StoreOptions<Types> = {}): Store<Types> => {
  checkOptions('store()', options, OPTIONS, store)
  return new ResourceStore(contract, options)
}

markFactory('store()', store as never)

class ResourceStore<Types extends ResourceTypes> implements Store<Types> {
  readonly contract: ResourceContract<Types>
  readonly keys: DocumentKeys
  readonly documents: Documents
  readonly changes: DocumentChanges
  readonly represent: Represent
  readonly #served: ServedResources
  readonly #handlers: Partial<ResourceHandlers<Types>>
  opening: Promise<void> | undefined

  constructor(contract: ResourceContract<Types>, { initial = {}, computed, handlers = {}, limits, clock = systemClock }: StoreOptions<Types>) {
    this.contract = contract
    this.keys = new DocumentKeys(contract)
    const most = { ...LIMITS, ...limits }
    this.documents = new Documents(most.tombstones)
    this.changes = new DocumentChanges({ documents: this.documents, limits: most, clock })
    this.represent = representation(contract, (computed ?? {}) as never, this.keys, () => clock as Clock)
    this.#served = new ServedResources(this.keys)
    this.#handlers = handlers
    this.opening = this.#initialise(Object.entries(initial))
  }

  serve(contract: ResourceContract, host: ServeHost): void {
    if (contract !== (this.contract as ResourceContract))
      throw new IopaError(500, 'bad-store', `This store keeps ${this.contract.pattern}, and does not serve ${contract.pattern}.`)
    const served = this.#served.add(contract, host)
    const own = { ...itemHandlers(this, served), ...this.#handlers } as Record<string, unknown>
    const declared = Object.keys(contract.methods).map(method => method.toLowerCase())
    const missing = declared.find(name => own[name] === undefined)
    if (missing !== undefined)
      throw new IopaError(
        500,
        'bad-store',
        `A store does not serve ${missing.toUpperCase()} of ${contract.pattern}: write store(contract, { handlers: { ${missing}: request => ... } }).`
      )
    host.serve(contract, Object.fromEntries(declared.map(name => [name, own[name]])) as never, {
      preconditions: 'own',
      instances: () => this.#paths()
    })
  }

  async ready(): Promise<void> {
    await this.opening
  }

  async get(id: DocumentId<Types['params']>): Promise<StoredDocument<Types> | undefined> {
    await this.opening
    const document = this.documents.get(await this.keys.ofProgram(id))
    return document && this.#told(document)
  }

  async put(id: DocumentId<Types['params']>, state: Types['stateInput'], options: ChangeOptions = {}): Promise<StoredDocument<Types>> {
    const key = await this.#known(id)
    const valid = await this.#valid(state)
    return this.#told((await this.#change(key, options, () => valid)).document as Kept)
  }

  async patch(
    id: DocumentId<Types['params']>,
    change: (state: Types['state']) => Types['stateInput'],
    options: ChangeOptions = {}
  ): Promise<StoredDocument<Types>> {
    const key = await this.#known(id)
    const kept = await this.#change(key, options, current => {
      if (current === undefined) throw new IopaError(404, 'not-found', 'There is no such document.')
      return this.#valid(change(current.state))
    })
    return this.#told(kept.document as Kept)
  }

  async delete(id: DocumentId<Types['params']>, options: ChangeOptions = {}): Promise<boolean> {
    const key = await this.#known(id)
    if (this.documents.get(key) === undefined && options.ifVersion === undefined) return false
    await this.#change(key, options, () => DELETED)
    return true
  }

  async list({ after = '', limit = Number.POSITIVE_INFINITY, reverse = false }: ListOptions = {}): Promise<readonly StoredDocument<Types>[]> {
    await this.opening
    const found: StoredDocument<Types>[] = []
    for (const document of this.documents.list('', after, reverse)) {
      if (found.length >= limit) break
      found.push(this.#told(document))
    }
    return found
  }

  /** Tells of a change that has been kept. */
  kept(change: KeptChange, cause: Cause | null): void {
    this.#served.notify(change.key, cause)
  }

  async #known(id: unknown): Promise<string> {
    await this.opening
    return this.keys.ofProgram(id)
  }

  #valid(state: unknown): MaybePromise<unknown> {
    return this.contract.state === undefined ? state : validate(this.contract.state, state)
  }

  async #change(key: string, { ifVersion }: ChangeOptions, work: (current: Kept | undefined) => MaybePromise<unknown>): Promise<KeptChange> {
    const change = await this.changes.change(key, current => {
      if (ifVersion !== undefined && ifVersion !== (current?.version ?? 0))
        throw new IopaError(
          412,
          'precondition-failed',
          `The document has the version ${current?.version ?? 0}, not ${ifVersion}; get it, then try again.`
        )
      return work(current)
    })
    this.kept(change, null)
    return change
  }

  #told({ key, state, version, changed }: Kept): StoredDocument<Types> {
    return { id: this.keys.idOf(key) as DocumentId<Types['params']>, state, version, changed }
  }

  *#paths(): Generator<string> {
    for (const { key } of this.documents.list()) yield this.keys.pathOf(key)
  }

  #initialise(initial: readonly (readonly [string, unknown])[]): Promise<void> | undefined {
    const pending = initial.map(([id, state]) => {
      const key = this.keys.ofProgram(id)
      const valid = this.#valid(state)
      if (!(key instanceof Promise) && !(valid instanceof Promise)) return this.changes.change(key, () => valid)
      return Promise.all([key, valid]).then(([known, checked]) => this.changes.change(known, () => checked))
    })
    if (!pending.some(outcome => outcome instanceof Promise)) return undefined
    return Promise.all(pending).then(() => {
      this.opening = undefined
    })
  }
}
