import { type BodyHolder, HeldBuffer, type HeldBytes } from '@iopa/transport'
import { BERT, type Block, blockSize, fitsBlock } from '../codec/block.ts'

/** Bounds of the bodies that are being assembled. */
export interface UploadLimits {
  /** Most bytes of one body. */
  readonly body: number
  /** Most bytes of all unfinished bodies together. */
  readonly bytes: number
  /** Most unfinished bodies, in all and for each owner. */
  readonly count: number
  readonly countPerOwner: number
  /** Milliseconds without a further block after which an unfinished body is dropped. */
  readonly lifetime: number
}

/** Unverified peers may take half of everything together, and those of one address so much of that half. */
const STRANGERS = 2
const ADDRESS = 4

/** What a block says beside its number and its bytes. */
export interface BlockOrigin {
  /** The address that it came from, where that is not verified. */
  readonly unverified?: string | undefined
  /** Its Content-Format option; undefined where it leaves that out, as blocks after the first may. */
  readonly contentFormat?: number | undefined
  readonly sender?: BlockSender
}

/** Whose the bytes of a body are. */
type BlockSender = Pick<BodyHolder, 'server.User' | 'server.RemoteAddress'>

const TRUSTED: BlockOrigin = {}
const UNKNOWN: BlockSender = { 'server.User': undefined, 'server.RemoteAddress': '' }

/** What came of a block. */
export type UploadResult =
  | { readonly outcome: 'continue' }
  | { readonly outcome: 'complete'; readonly body: Uint8Array; readonly contentFormat?: number }
  /** A block before this one is missing, or belongs to a body of another Content-Format: 4.08. */
  | { readonly outcome: 'incomplete' }
  /** The body is over its limit: 4.13 with Size1. */
  | { readonly outcome: 'too-large' }
  /** The payload does not have the size that the option says: 4.00. */
  | { readonly outcome: 'malformed' }
  /** There is no room for another body now: 5.03. */
  | { readonly outcome: 'full' }

interface Upload {
  readonly owner: object
  readonly origin: BlockOrigin
  /** Its bytes among the bodies in memory of the app. */
  readonly held: HeldBuffer
  buffer: Uint8Array
  length: number
  touched: number
}

/** Assembles request bodies from their blocks (RFC 7959 section 2.5), keyed by endpoint, cache key and Request-Tag, never by token (RFC 9175 section 3). */
export class Uploads {
  readonly #limits: UploadLimits
  readonly #bodies: HeldBytes | undefined
  /** The one that was touched longest ago comes first. */
  readonly #uploads = new Map<string, Upload>()
  readonly #counts = new Map<object, number>()
  /** Bodies of unverified peers: how many of each address, and what they hold together. */
  readonly #addresses = new Map<string, number>()
  #strangers = 0
  #strangerBytes = 0
  #bytes = 0

  constructor(limits: UploadLimits, bodies?: HeldBytes) {
    this.#limits = limits
    this.#bodies = bodies
  }

  get size(): number {
    return this.#uploads.size
  }

  /** Bytes that the unfinished bodies hold. */
  get bytes(): number {
    return this.#bytes
  }

  /** Takes a block. `owner` is the peer or connection that it came from, `announced` the Size1 option. */
  accept(
    owner: object,
    key: string,
    block: Block,
    payload: Uint8Array,
    announced: number | undefined,
    now: number,
    origin: BlockOrigin = TRUSTED
  ): UploadResult {
    this.expire(now)
    const size = blockSize(block.szx)
    if (!fitsBlock(block, payload.length) || (block.szx === BERT && payload.length === 0)) return { outcome: 'malformed' }
    const offset = block.num * size
    let upload = this.#uploads.get(key)
    if (block.num === 0) {
      if (upload !== undefined) this.#drop(key, upload)
      if ((announced ?? 0) > this.#limits.body || payload.length > this.#limits.body) return { outcome: 'too-large' }
      if (!block.more) return { outcome: 'complete', body: payload }
      const count = this.#counts.get(owner) ?? 0
      if (count >= this.#limits.countPerOwner || !this.#makeRoom(origin.unverified)) return { outcome: 'full' }
      upload = { owner, origin, held: new HeldBuffer(this.#bodies), buffer: new Uint8Array(0), length: 0, touched: now }
      this.#uploads.set(key, upload)
      this.#counts.set(owner, count + 1)
      this.#countStranger(origin.unverified, 1)
    } else if (upload === undefined || !sameFormat(upload.origin, origin)) return { outcome: 'incomplete' }
    else {
      // The last block once more under a new message id: its answer was lost.
      if (block.more && offset + payload.length === upload.length) return { outcome: 'continue' }
      if (offset !== upload.length) return { outcome: 'incomplete' }
      if (upload.length + payload.length > this.#limits.body) {
        this.#drop(key, upload)
        return { outcome: 'too-large' }
      }
    }
    if (!this.#append(key, upload, payload)) {
      this.#drop(key, upload)
      return { outcome: 'full' }
    }
    if (!block.more) {
      const body = upload.buffer.subarray(0, upload.length)
      this.#drop(key, upload)
      const { contentFormat } = upload.origin
      return { outcome: 'complete', body, ...(contentFormat === undefined ? {} : { contentFormat }) }
    }
    upload.touched = now
    this.#uploads.delete(key)
    this.#uploads.set(key, upload)
    return { outcome: 'continue' }
  }

  /** Drops the bodies whose next block has not come in time. */
  expire(now: number): void {
    for (const [key, upload] of this.#uploads) {
      if (now - upload.touched < this.#limits.lifetime) break
      this.#drop(key, upload)
    }
  }

  /** Drops what an owner has begun. */
  forget(owner: object): void {
    if (!this.#counts.has(owner)) return
    for (const [key, upload] of this.#uploads) if (upload.owner === owner) this.#drop(key, upload)
  }

  /** Makes room for another body. Drops the body of an unverified peer that is idle longest, so that forged blocks cannot lock out other clients. */
  #makeRoom(unverified: string | undefined): boolean {
    const { count } = this.#limits
    if (unverified !== undefined) {
      const most = Math.ceil(count / STRANGERS)
      if ((this.#addresses.get(unverified) ?? 0) >= Math.ceil(most / ADDRESS)) this.#dropStranger(unverified)
      if (this.#strangers >= most) this.#dropStranger()
    }
    return this.#uploads.size < count || this.#dropStranger()
  }

  /** Drops the body of an unverified peer, of one address where that is given, whose last block came longest ago. */
  #dropStranger(address?: string, except?: string): boolean {
    for (const [key, upload] of this.#uploads) {
      const { unverified } = upload.origin
      if (unverified === undefined || key === except || (address !== undefined && address !== unverified)) continue
      this.#drop(key, upload)
      return true
    }
    return false
  }

  #countStranger(unverified: string | undefined, change: 1 | -1): void {
    if (unverified === undefined) return
    this.#strangers += change
    const count = (this.#addresses.get(unverified) ?? 0) + change
    if (count > 0) this.#addresses.set(unverified, count)
    else this.#addresses.delete(unverified)
  }

  #hasBytes(key: string, more: number, stranger: boolean): boolean {
    const { bytes } = this.#limits
    while (this.#bytes + more > bytes || (stranger && this.#strangerBytes + more > bytes / STRANGERS))
      if (!this.#dropStranger(undefined, key)) return false
    return true
  }

  #append(key: string, upload: Upload, payload: Uint8Array): boolean {
    const length = upload.length + payload.length
    if (length > upload.buffer.length) {
      const capacity = Math.max(length, Math.min(this.#limits.body, Math.max(1024, upload.buffer.length * 2)))
      const stranger = upload.origin.unverified !== undefined
      const more = capacity - upload.buffer.length
      if (!this.#hasBytes(key, more, stranger)) return false
      try {
        upload.held.resize(capacity, upload.origin.sender ?? UNKNOWN)
      } catch {
        return false
      }
      const wider = new Uint8Array(capacity)
      wider.set(upload.buffer.subarray(0, upload.length))
      this.#bytes += more
      if (stranger) this.#strangerBytes += more
      upload.buffer = wider
    }
    upload.buffer.set(payload, upload.length)
    upload.length = length
    return true
  }

  #drop(key: string, upload: Upload): void {
    this.#uploads.delete(key)
    upload.held.free()
    this.#bytes -= upload.buffer.length
    const { unverified } = upload.origin
    if (unverified !== undefined) this.#strangerBytes -= upload.buffer.length
    this.#countStranger(unverified, -1)
    const count = (this.#counts.get(upload.owner) ?? 1) - 1
    if (count > 0) this.#counts.set(upload.owner, count)
    else this.#counts.delete(upload.owner)
  }
}

/** A block that leaves its Content-Format out has that of the first. */
const sameFormat = (first: BlockOrigin, later: BlockOrigin): boolean =>
  later.contentFormat === undefined || first.contentFormat === later.contentFormat
