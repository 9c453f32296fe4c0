import type { Context } from '@iopa/appbuilder'
import type { PresenceState, ResourceServer, Storage, TwinContract, TwinState, TwinTypes } from '@iopa/appbuilder/extension'
import type { Clock } from '@iopa/transport'
import type { AsideDocument, DocumentId } from '../store-types.ts'

/** Most that twins keep. */
export interface TwinLimits {
  /** Twins; 100,000 unless given. */
  readonly documents?: number
  /** Bytes of one twin as JSON; 64 KiB unless given. */
  readonly documentBytes?: number
}

/** Options of `twins()`. */
export interface TwinOptions {
  /** Where they are kept; in memory unless given. */
  readonly storage?: Storage
  /** True for a request of the device itself, which alone may report. Unless given, the id of the user is the last parameter of the path. */
  readonly device?: (context: Context) => boolean
  /** True for a request that may change what is desired, or delete the twin; everyone unless given. */
  readonly user?: (context: Context) => boolean
  readonly limits?: TwinLimits
  /** That of the machine unless given. */
  readonly clock?: Clock
}

/** A twin as a program reads it. */
export interface Twin<Types extends TwinTypes> extends TwinState<Types['reported'], Types['desired']> {
  readonly id: DocumentId<Types['params']>
}

/** A merge patch (RFC 7396) of a part: null removes a member. */
export type TwinPatch<State> = { readonly [Name in keyof State]?: State[Name] | null }

/** The twins of devices: served by apps, read and changed by the program. */
export interface Twins<Types extends TwinTypes> {
  readonly contract: TwinContract<Types>
  /** Serves the twin and its four parts on an app. */
  serve: ResourceServer['serve']
  /** Resolves when they have been read. @throws the error that kept them from that. */
  ready(): Promise<void>
  /** The twin; undefined where there is none. */
  get(id: DocumentId<Types['params']>): Promise<Twin<Types> | undefined>
  /** Merges wishes into what is desired; null withdraws one. @throws IopaError 422 for what is not valid. */
  desire(id: DocumentId<Types['params']>, patch: TwinPatch<Types['desired']>): Promise<Twin<Types>>
  /** Merges a report of the device; `seen` is the version of the delta that it has read. @throws IopaError 422 for what is not valid. */
  report(id: DocumentId<Types['params']>, patch: TwinPatch<Types['reported']>, options?: { readonly seen?: number }): Promise<Twin<Types>>
  /** Deletes a twin; false where there was none. */
  delete(id: DocumentId<Types['params']>): Promise<boolean>
  presence(id: DocumentId<Types['params']>): Promise<PresenceState>
  /** The twins that could not be read or migrated. */
  setAside(): Promise<readonly AsideDocument<Types>[]>
  /** Ends them after the changes under way, and their storage where nothing else uses that. The app that serves them does so by itself. Idempotent. */
  close(): Promise<void>
}
