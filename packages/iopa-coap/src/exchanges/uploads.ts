import { HeldBuffer, type HeldBytes } from '@iopa/transport'
import { BERT, type Block, blockSize, fitsBlock } from '../codec/block.ts'
import type { BlockOrigin, BlockSender, StreamedUpload, UploadEnd, UploadLimits, UploadResult } from './upload.ts'

/** Unverified peers may take half of everything together, and those of one address so much of that half. */
const STRANGERS = 2
const ADDRESS = 4

const NOTHING = new Uint8Array(0)
const TRUSTED: BlockOrigin = {}
const UNKNOWN: BlockSender = { 'server.User': undefined, 'server.RemoteAddress': '' }

interface Upload extends StreamedUpload {
  readonly owner: object
  readonly origin: BlockOrigin
  /** Its bytes among the bodies in memory of the app. */
  readonly held: HeldBuffer
  buffer: Uint8Array
  /** Bytes that count for it. */
  counted: number
  /** Bytes that have come. */
  length: number
  touched: number
  streams: boolean
  /** Its last block has come. */
  ended: boolean
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

  /** True while an owner has unfinished bodies. */
  holds(owner: object): boolean {
    return this.#counts.has(owner)
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
      if (upload !== undefined) this.#drop(upload, 'restarted')
      if ((announced ?? 0) > this.#limits.body || payload.length > this.#limits.body) return { outcome: 'too-large' }
      if (!block.more) return { outcome: 'complete', body: payload }
      const count = this.#counts.get(owner) ?? 0
      if (count >= this.#limits.countPerOwner || !this.#makeRoom(origin.unverified)) return { outcome: 'full' }
      upload = this.#open(owner, key, origin, now)
    } else if (upload === undefined || !sameFormat(upload.origin, origin)) return { outcome: 'incomplete' }
    else {
      // The newest block once more under a new message id: its answer was lost.
      if (block.more !== upload.ended && offset + payload.length === upload.length)
        return upload.streams ? { outcome: 'streams', upload, piece: undefined } : { outcome: 'continue' }
      if (offset !== upload.length || upload.ended) return { outcome: 'incomplete' }
      // Clients send a block when the one before is answered (RFC 7959 section 2.5).
      if (upload.streams && upload.counted > 0) return { outcome: 'full' }
      if (upload.length + payload.length > this.#limits.body) {
        this.#drop(upload, 'too-large')
        return { outcome: 'too-large' }
      }
    }
    if (upload.streams || this.#isLarge(upload, block, payload, announced)) return this.#stream(upload, block, payload, now)
    if (!this.#append(upload, payload)) return this.#crowded(upload)
    if (!block.more) {
      const body = upload.buffer.subarray(0, upload.length)
      this.#close(upload)
      const { contentFormat } = upload
      return { outcome: 'complete', body, ...(contentFormat === undefined ? {} : { contentFormat }) }
    }
    this.#touch(upload, now)
    return { outcome: 'continue' }
  }

  /** The piece that was given last is not held here any more. */
  taken(upload: StreamedUpload): void {
    this.#count(upload as Upload, 0)
  }

  /** A body that is read while it arrives has its answer. */
  finish(upload: StreamedUpload): void {
    if (this.#uploads.get(upload.key) === upload) this.#close(upload as Upload)
  }

  /** Drops the bodies whose next block has not come in time. */
  expire(now: number): void {
    for (const upload of this.#uploads.values()) {
      if (now - upload.touched < this.#limits.lifetime) break
      this.#drop(upload, now === Number.POSITIVE_INFINITY ? 'shutdown' : 'expired')
    }
  }

  /** Drops what an owner has begun. */
  forget(owner: object): void {
    if (!this.#counts.has(owner)) return
    for (const upload of this.#uploads.values()) if (upload.owner === owner) this.#drop(upload, 'disconnected')
  }

  #open(owner: object, key: string, origin: BlockOrigin, now: number): Upload {
    const upload: Upload = {
      sink: undefined,
      key,
      contentFormat: origin.contentFormat,
      owner,
      origin,
      held: new HeldBuffer(this.#bodies),
      buffer: NOTHING,
      counted: 0,
      length: 0,
      touched: now,
      streams: false,
      ended: false
    }
    this.#uploads.set(key, upload)
    this.#counts.set(owner, (this.#counts.get(owner) ?? 0) + 1)
    this.#countStranger(origin.unverified, 1)
    return upload
  }

  /** True when a body is not collected any further. */
  #isLarge(upload: Upload, { more }: Block, payload: Uint8Array, announced = 0): boolean {
    const { collected = Number.POSITIVE_INFINITY } = this.#limits
    return upload.origin.mayStream === true && more && Math.max(upload.length + payload.length, announced) > collected
  }

  /** Hands on a piece of a body; the first has all that was collected before. */
  #stream(upload: Upload, { more }: Block, payload: Uint8Array, now: number): UploadResult {
    const piece = upload.streams || upload.length === 0 ? payload : Buffer.concat([upload.buffer.subarray(0, upload.length), payload])
    upload.streams = true
    upload.buffer = NOTHING
    upload.length += payload.length
    upload.ended = !more
    if (!this.#count(upload, piece.length)) return this.#crowded(upload)
    this.#touch(upload, now)
    return { outcome: 'streams', upload, piece }
  }

  #crowded(upload: Upload): UploadResult {
    this.#drop(upload, 'crowded')
    return { outcome: 'full' }
  }

  #touch(upload: Upload, now: number): void {
    upload.touched = now
    this.#uploads.delete(upload.key)
    this.#uploads.set(upload.key, upload)
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
  #dropStranger(address?: string, except?: Upload): boolean {
    for (const upload of this.#uploads.values()) {
      const { unverified } = upload.origin
      if (unverified === undefined || upload === except || (address !== undefined && address !== unverified)) continue
      this.#drop(upload, 'crowded')
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

  /** Counts so many bytes for a body, in place of those that counted before; false when there is no room for them. */
  #count(upload: Upload, bytes: number): boolean {
    const more = bytes - upload.counted
    const stranger = upload.origin.unverified !== undefined
    if (more > 0) {
      const { bytes: most } = this.#limits
      while (this.#bytes + more > most || (stranger && this.#strangerBytes + more > most / STRANGERS))
        if (!this.#dropStranger(undefined, upload)) return false
    }
    try {
      upload.held.resize(bytes, upload.origin.sender ?? UNKNOWN)
    } catch {
      return false
    }
    upload.counted = bytes
    this.#bytes += more
    if (stranger) this.#strangerBytes += more
    return true
  }

  #append(upload: Upload, payload: Uint8Array): boolean {
    const length = upload.length + payload.length
    if (length > upload.buffer.length) {
      const capacity = Math.max(length, Math.min(this.#limits.body, Math.max(1024, upload.buffer.length * 2)))
      if (!this.#count(upload, capacity)) return false
      const wider = new Uint8Array(capacity)
      wider.set(upload.buffer.subarray(0, upload.length))
      upload.buffer = wider
    }
    upload.buffer.set(payload, upload.length)
    upload.length = length
    return true
  }

  #drop(upload: Upload, why: UploadEnd): void {
    this.#close(upload)
    upload.sink?.abandon(why)
  }

  #close(upload: Upload): void {
    const { key, owner, origin, counted } = upload
    this.#uploads.delete(key)
    upload.held.free()
    upload.counted = 0
    this.#bytes -= counted
    if (origin.unverified !== undefined) this.#strangerBytes -= counted
    this.#countStranger(origin.unverified, -1)
    const count = (this.#counts.get(owner) ?? 1) - 1
    if (count > 0) this.#counts.set(owner, count)
    else this.#counts.delete(owner)
  }
}

/** A block that leaves its Content-Format out has that of the first. */
const sameFormat = (first: BlockOrigin, later: BlockOrigin): boolean =>
  later.contentFormat === undefined || first.contentFormat === later.contentFormat
