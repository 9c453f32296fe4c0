import { type Context, IopaError } from '@iopa/appbuilder'
import {
  checkOptions,
  markFactory,
  type PresenceState,
  type ResourceContract,
  type Schema,
  type ServeHost,
  type ServeOptions,
  type TwinContract,
  type TwinTypes,
  validate
} from '@iopa/appbuilder/extension'
import { systemClock } from '@iopa/transport'
import { DocumentKeys } from '../document-keys.ts'
import { storageKeys } from '../storage-keys.ts'
import { limitsOf } from '../store-limits.ts'
import type { AsideDocument, DocumentId } from '../store-types.ts'
import { emptyTwin, type TwinDocument, withDesired, withReported } from './document.ts'
import { lastingConnectionOf } from './lasting-connection.ts'
import { type Members, mergeMembers, sameValue } from './members.ts'
import { Opening } from './opening.ts'
import { Presence } from './presence.ts'
import { PresenceTimes } from './presence-times.ts'
import { ServedTwins, type TwinCause } from './served-twins.ts'
import { type TwinChange, TwinDocuments } from './twin-documents.ts'
import { twinHandlers } from './twin-handlers.ts'
import type { Twin, TwinLimits, TwinOptions, TwinPatch, Twins } from './twin-types.ts'

const OPTIONS: Record<keyof TwinOptions, true> = { storage: true, device: true, user: true, limits: true, clock: true }
const LIMITS: Required<TwinLimits> = { documents: 100_000, documentBytes: 2 ** 16 }

/**
 * Keeps the twins of devices: `app.serve(device, twins(device))` serves the twin and its parts.
 * @throws IopaError 500 where the schemas of the contract do not take a part of what they describe.
 */
export const twins = <Types extends TwinTypes>(contract: TwinContract<Types>, options: TwinOptions = {}): Twins<Types> => {
  checkOptions('twins()', options, OPTIONS, twins)
  return new DeviceTwins(contract, options)
}

markFactory('twins()', twins as never)

class DeviceTwins<Types extends TwinTypes> implements Twins<Types> {
  readonly contract: TwinContract<Types>
  readonly keys: DocumentKeys
  readonly documents: TwinDocuments
  readonly device: (context: Context) => boolean
  readonly user: (context: Context) => boolean
  readonly #served: ServedTwins
  readonly #presence: Presence
  readonly #opening: Opening

  constructor(contract: TwinContract<Types>, { storage, device, user = () => true, limits = {}, clock = systemClock }: TwinOptions) {
    checkPart(contract.reported)
    checkPart(contract.desired)
    this.contract = contract
    this.keys = new DocumentKeys(contract)
    const most = limitsOf('twins', LIMITS, limits)
    const keys = storageKeys(contract.pattern)
    this.#served = new ServedTwins(contract, this.keys)
    this.documents = new TwinDocuments({ storage, keys, contract }, most)
    const times = storage && new PresenceTimes(storage, keys.presence)
    this.#presence = new Presence({
      clock,
      devices: most.documents,
      changed: key => this.#served.notify(key, ['presence'], null),
      keep: async heard => times?.keep(heard.filter(([key]) => this.documents.get(key) !== undefined))
    })
    this.device = device ?? isNamedBy(this.keys.names.at(-1))
    this.user = user
    const log = (error: unknown): void => this.#served.logger.error(`iopa: the twins of ${contract.pattern} cannot be read`, error)
    this.#opening = new Opening(storage, contract.pattern, clock, log, async () => {
      await this.documents.open({ idOf: key => this.keys.idOf(key), logger: this.#served.logger, time: clock.now() })
      if (times !== undefined) for await (const [key, time] of times.read()) this.#presence.restore(key, time)
    })
  }

  serve(contract: ResourceContract, host: ServeHost, options: ServeOptions = {}): void {
    if (contract !== (this.contract as ResourceContract))
      throw new IopaError(500, 'bad-store', `These are the twins of ${this.contract.pattern}: serve that, not ${contract.pattern}.`)
    const handlers = twinHandlers(this, (change, context) => this.#kept(change, { host, context }))
    this.#served.add(host, handlers, () => this.documents.keys(), options)
    host.defer(() => (this.#served.leave(host) ? this.close() : undefined))
  }

  open(): Promise<void> | undefined {
    return this.#opening.open()
  }

  async ready(): Promise<void> {
    await this.open()
  }

  close(): Promise<void> {
    return this.#opening.close(async () => {
      await this.documents.idle()
      await this.#presence.flush()
    })
  }

  async get(id: DocumentId<Types['params']>): Promise<Twin<Types> | undefined> {
    const key = await this.#known(id)
    const twin = this.documents.get(key)
    return twin && this.#told(key, twin)
  }

  async desire(id: DocumentId<Types['params']>, patch: TwinPatch<Types['desired']>): Promise<Twin<Types>> {
    return this.#change(id, this.contract.desired, patch as Members, 'desired', (twin, next, named) => withDesired(twin, next, named))
  }

  async report(
    id: DocumentId<Types['params']>,
    patch: TwinPatch<Types['reported']>,
    { seen }: { readonly seen?: number } = {}
  ): Promise<Twin<Types>> {
    return this.#change(id, this.contract.reported, patch as Members, 'reported', (twin, next, named) => withReported(twin, next, named, seen))
  }

  async delete(id: DocumentId<Types['params']>): Promise<boolean> {
    const key = await this.#known(id)
    const kept = await this.documents.delete(key, () => undefined)
    this.#kept(kept, null)
    return kept.parts.length > 0
  }

  async presence(id: DocumentId<Types['params']>): Promise<PresenceState> {
    return this.#presence.stateOf(await this.#known(id))
  }

  async setAside(): Promise<readonly AsideDocument<Types>[]> {
    await this.open()
    const found = await this.documents.setAside()
    return found.map(({ key, ...rest }) => ({ id: this.keys.idOf(key) as DocumentId<Types['params']>, ...rest }))
  }

  heard(key: string, context: Context): void {
    if (this.device(context)) this.#presence.heard(key, lastingConnectionOf(context))
  }

  presenceOf(key: string): PresenceState {
    return this.#presence.stateOf(key)
  }

  #kept({ key, twin, parts }: TwinChange, cause: TwinCause | null): void {
    if (parts.length === 0) return
    this.#served.notify(key, ['whole', ...parts], cause)
    if (twin === null) this.#presence.forget(key)
  }

  async #change(
    id: DocumentId<Types['params']>,
    { state }: ResourceContract,
    patch: Members,
    part: 'reported' | 'desired',
    work: (twin: TwinDocument, next: Members, named: Members) => TwinDocument
  ): Promise<Twin<Types>> {
    const key = await this.#known(id)
    const kept = await this.documents.change(key, async twin => {
      const next = mergeMembers(twin[part], patch)
      return work(twin, (state === undefined ? next : await validate(state, next)) as Members, patch)
    })
    this.#kept(kept, null)
    return this.#told(key, kept.twin ?? emptyTwin())
  }

  async #known(id: unknown): Promise<string> {
    await this.open()
    return this.keys.ofProgram(id)
  }

  #told(key: string, { version, reported, desired, delta }: TwinDocument): Twin<Types> {
    return { id: this.keys.idOf(key), version, reported, desired, delta } as Twin<Types>
  }
}

/** True where the id of the user is the parameter of this name. */
const isNamedBy =
  (name: string | undefined): ((context: Context) => boolean) =>
  context =>
    name !== undefined && context.user?.id === context['iopa.Params'][name]

/** @throws IopaError 500 for a schema that refuses `{}`, or adds members to it. */
const checkPart = ({ pattern, state }: ResourceContract): void => {
  const result = (state as Schema)['~standard'].validate({})
  if (result instanceof Promise) return void result.catch(() => undefined)
  if (result.issues !== undefined || !sameValue(result.value, {}))
    throw new IopaError(
      500,
      'bad-resource',
      `The schema of ${pattern} must take a part of its members, so {} too, and add none: make them optional, without defaults.`
    )
}
