import { IopaError, type Logger } from '@iopa/appbuilder'
import {
  checkOptions,
  historyContract,
  markFactory,
  type ResourceContract,
  type ResourceTypes,
  type ServeHost,
  type ServeOptions,
  type Storage,
  validate
} from '@iopa/appbuilder/extension'
import { type Clock, systemClock } from '@iopa/transport'
import { DELETED, DocumentChanges, type KeptChange } from './document-changes.ts'
import type { DocumentRecord } from './document-format.ts'
import { DocumentKeys } from './document-keys.ts'
import { Documents, type Kept } from './documents.ts'
import { History } from './history/history.ts'
import { type HistoryLimits, historyLimits } from './history/history-limits.ts'
import { answerLimits } from './idempotency/idempotency.ts'
import { IdempotentRequests } from './idempotency/idempotent-requests.ts'
import { KeptAnswers } from './idempotency/kept-answers.ts'
import type { ItemHost } from './item-handlers.ts'
import { assertReadable, currentState } from './opening.ts'
import { type Represent, representation } from './representation.ts'
import { type RuleChange, Rules } from './rules.ts'
import { type Cause, type Served, ServedResources } from './served-resources.ts'
import { serveStore } from './serving.ts'
import { memory } from './storage/memory.ts'
import { storageKeys } from './storage-keys.ts'
import { StoreLifecycle } from './store-lifecycle.ts'
import { storeLimits } from './store-limits.ts'
import type {
  AsideDocument,
  ChangeOptions,
  DocumentId,
  ListOptions,
  RuleOptions,
  Store,
  StoreChange,
  StoredDocument,
  StoreOptions
} from './store-types.ts'
import type { MaybePromise } from './turns.ts'

const OPTIONS: Record<keyof StoreOptions<ResourceTypes>, true> = {
  storage: true,
  initial: true,
  create: true,
  computed: true,
  handlers: true,
  limits: true,
  history: true,
  newId: true,
  clock: true
}

/**
 * Keeps the documents of a declared resource: `app.serve(light, store(light))`.
 * @throws IopaError 500 where the options do not fit the contract.
 */
export const store = <Types extends ResourceTypes>(contract: ResourceContract<Types>, options: StoreOptions<Types> = {}): Store<Types> => {
  checkOptions('store()', options, OPTIONS, store)
  return new ResourceStore(contract, options)
}

markFactory('store()', store as never)

type Id<Types extends ResourceTypes> = DocumentId<Types['params']>

class ResourceStore<Types extends ResourceTypes> implements Store<Types>, ItemHost {
  readonly contract: ResourceContract<Types>
  readonly keys: DocumentKeys
  readonly documents: Documents
  readonly changes: DocumentChanges
  readonly represent: Represent
  readonly clock: Clock
  readonly newId: (() => string) | undefined
  readonly create: boolean
  readonly handlers: Readonly<Record<string, unknown>>
  readonly history: History | null
  readonly requests: IdempotentRequests
  readonly #served: ServedResources
  readonly #lifecycle: StoreLifecycle
  readonly #rules: Rules<StoreChange<Types> & RuleChange>

  constructor(contract: ResourceContract<Types>, options: StoreOptions<Types>) {
    const { storage = null, initial = {}, computed = {}, handlers = {}, clock = systemClock, newId, create = true } = options
    const limits = storeLimits(options.limits)
    this.contract = contract
    this.clock = clock
    this.newId = newId
    this.create = create
    this.handlers = handlers
    this.keys = new DocumentKeys(contract)
    this.documents = new Documents(limits.tombstones)
    this.represent = representation(contract, computed as never, this.keys, clock)
    this.#served = new ServedResources(this.keys)
    const logger = (): Logger => this.#served.logger
    this.#rules = new Rules(contract.pattern, logger)
    const { keys, documents } = this
    const history = options.history === undefined ? null : this.#historyOf(historyLimits(options.history), storage ?? memory(), logger)
    this.history = history
    this.requests = new IdempotentRequests(new KeptAnswers(storage ?? memory(), storageKeys(contract.pattern).answers, answerLimits(), clock))
    const readable = storage === null && history === null ? null : (state: unknown) => assertReadable(contract as ResourceContract, state)
    this.changes = new DocumentChanges({ documents, limits, clock, history, readable })
    this.#lifecycle = new StoreLifecycle({ contract, keys, documents, changes: this.changes, clock, logger, history }, storage, initial)
  }

  serve(contract: ResourceContract, host: ServeHost, options?: ServeOptions): void {
    serveStore(this, this.contract as ResourceContract, this.#served.add(contract, host), options)
    host.defer(() => this.#served.leave(host, () => this.close()))
  }

  serveHistory(host: ServeHost): Served {
    return this.#served.add(historyContract(this.contract as ResourceContract), host)
  }

  readonly current = (record: DocumentRecord): Promise<unknown> => currentState(this.contract, record).catch(() => undefined)

  open(): Promise<void> | undefined {
    return this.#lifecycle.open()
  }

  async ready(): Promise<void> {
    await this.open()
  }

  close(): Promise<void> {
    return this.#lifecycle.close()
  }

  async get(id: Id<Types>): Promise<StoredDocument<Types> | undefined> {
    const document = this.documents.get(await this.#keyOf(id))
    return document && this.#told(document)
  }

  async put(id: Id<Types>, state: Types['stateInput'], options: ChangeOptions = {}): Promise<StoredDocument<Types>> {
    const key = await this.#keyOf(id)
    const valid = await this.#valid(state)
    return this.#told((await this.#change(key, options, () => valid)).document as Kept)
  }

  async patch(id: Id<Types>, change: (state: Types['state']) => Types['stateInput'], options: ChangeOptions = {}): Promise<StoredDocument<Types>> {
    const kept = await this.#change(await this.#keyOf(id), options, current => {
      if (current === undefined) throw new IopaError(404, 'not-found', 'There is no such document.')
      return this.#valid(change(current.state))
    })
    return this.#told(kept.document as Kept)
  }

  async delete(id: Id<Types>, options: ChangeOptions = {}): Promise<boolean> {
    const key = await this.#keyOf(id)
    let existed = true
    try {
      await this.#change(key, options, current => {
        if (current === undefined) {
          existed = false
          throw NOTHING
        }
        return DELETED
      })
    } catch (error) {
      if (error !== NOTHING) throw error
    }
    return existed
  }

  async list({ after = '', limit = Number.POSITIVE_INFINITY, reverse = false }: ListOptions = {}): Promise<readonly StoredDocument<Types>[]> {
    await this.open()
    const found: StoredDocument<Types>[] = []
    for (const document of this.documents.list('', after, reverse)) {
      if (found.length >= limit) break
      found.push(this.#told(document))
    }
    return found
  }

  onChange(rule: (change: StoreChange<Types>) => unknown, { replicas = false }: RuleOptions = {}): Disposable {
    const remove = this.#rules.add(rule, replicas)
    return { [Symbol.dispose]: remove }
  }

  setAside(): Promise<readonly AsideDocument<Types>[]> {
    return this.#lifecycle.setAside() as Promise<readonly AsideDocument<Types>[]>
  }

  kept({ key, document, previous, version }: KeptChange, cause: Cause | null): void {
    this.#served.notify(key, cause)
    if (!this.#rules.active) return
    const replica = cause?.context['server.IsReplica'] === true
    const id = this.keys.idOf(key) as Id<Types>
    this.#rules.heard({ key, id, state: document?.state, previous: previous?.state, version, replica })
  }

  #historyOf(limits: HistoryLimits, storage: Storage, logger: () => Logger): History {
    const { contract, documents, clock } = this
    const { history: prefix } = storageKeys(contract.pattern)
    return new History({ prefix, shape: contract.version, limits, clock, logger, keys: () => documents.keys() }, storage)
  }

  async #keyOf(id: unknown): Promise<string> {
    await this.open()
    return this.keys.ofProgram(id)
  }

  #valid(state: unknown): MaybePromise<unknown> {
    return this.contract.state === undefined ? state : validate(this.contract.state, state)
  }

  async #change(key: string, { ifVersion }: ChangeOptions, work: (current: Kept | undefined) => MaybePromise<unknown>): Promise<KeptChange> {
    const change = await this.changes.change(key, current => {
      const version = current?.version ?? 0
      if (ifVersion !== undefined && ifVersion !== version)
        throw new IopaError(412, 'precondition-failed', `The document has the version ${version}, not ${ifVersion}; get it, then try again.`)
      return work(current)
    })
    this.kept(change, null)
    return change
  }

  #told({ key, state, version, changed }: Kept): StoredDocument<Types> {
    return { id: this.keys.idOf(key) as Id<Types>, state, version, changed }
  }
}

/** Ends the change of a document that is not there. */
const NOTHING = new Error('There is nothing to delete.')
