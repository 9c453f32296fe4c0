import type { BodyHolder } from '@iopa/transport'

/** Bounds of the bodies that are being assembled. */
export interface UploadLimits {
  /** Most bytes of one body. */
  readonly body: number
  /** Most bytes of a body that is collected: a larger one is read while it arrives. No body is unless given. */
  readonly collected?: number
  /** Most bytes of all unfinished bodies together. */
  readonly bytes: number
  /** Most unfinished bodies, in all and for each owner. */
  readonly count: number
  readonly countPerOwner: number
  /** Milliseconds without a further block after which an unfinished body is dropped. */
  readonly lifetime: number
}

/** What a block says beside its number and its bytes. */
export interface BlockOrigin {
  /** What the address is counted by that it came from, where that is not verified. */
  readonly unverified?: string | undefined
  /** Its Content-Format option; undefined where it leaves that out, as blocks after the first may. */
  readonly contentFormat?: number | undefined
  readonly sender?: BlockSender
  /** True where the body may be read while it arrives. */
  readonly mayStream?: boolean
}

/** Why a body that is read while it arrives ends before its last block. */
export type UploadEnd = 'restarted' | 'expired' | 'crowded' | 'too-large' | 'disconnected' | 'shutdown'

/** What reads a body while it arrives. */
export interface UploadSink {
  /** No further block follows. */
  abandon(why: UploadEnd): void
}

/** Whose the bytes of a body are. */
export type BlockSender = Pick<BodyHolder, 'server.User' | 'server.RemoteAddress'>

/** What came of a block. */
export type UploadResult =
  | { readonly outcome: 'continue' }
  | { readonly outcome: 'complete'; readonly body: Uint8Array; readonly contentFormat?: number }
  /** The body is read while it arrives: this is its next piece, none for the newest block once more. The first one has no sink yet. */
  | { readonly outcome: 'streams'; readonly upload: StreamedUpload; readonly piece: Uint8Array | undefined }
  /** A block before this one is missing, or belongs to a body of another Content-Format: 4.08. */
  | { readonly outcome: 'incomplete' }
  /** The body is over its limit: 4.13 with Size1. */
  | { readonly outcome: 'too-large' }
  /** The payload does not have the size that the option says: 4.00. */
  | { readonly outcome: 'malformed' }
  /** There is no room for another body now: 5.03. */
  | { readonly outcome: 'full' }

/** A body that is read while it arrives. */
export interface StreamedUpload {
  /** Set with the first piece. */
  sink: UploadSink | undefined
  readonly key: string
  readonly contentFormat: number | undefined
}
