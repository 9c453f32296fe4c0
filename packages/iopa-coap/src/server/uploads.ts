import { BERT, type Block, blockSize } from '../codec/block.ts'

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

/** What came of a block. */
export type UploadResult =
  | { readonly outcome: 'continue' }
  | { readonly outcome: 'complete'; readonly body: Uint8Array }
  /** A block before this one is missing: 4.08. */
  | { readonly outcome: 'incomplete' }
  /** The body is over its limit: 4.13 with Size1. */
  | { readonly outcome: 'too-large' }
  /** The payload does not have the size that the option says: 4.00. */
  | { readonly outcome: 'malformed' }
  /** There is no room for another body now: 5.03. */
  | { readonly outcome: 'full' }

interface Upload {
  readonly owner: object
  buffer: Uint8Array
  length: number
  touched: number
}

/** Assembles request bodies from their blocks (RFC 7959 section 2.5), keyed by endpoint, cache key and Request-Tag, never by token (RFC 9175 section 3). */
export class Uploads {
  readonly #limits: UploadLimits
  /** The one that was touched longest ago comes first. */
  readonly #uploads = new Map<string, Upload>()
  readonly #counts = new Map<object, number>()
  #bytes = 0

  constructor(limits: UploadLimits) {
    this.#limits = limits
  }

  get size(): number {
    return this.#uploads.size
  }

  /** Bytes that the unfinished bodies hold. */
  get bytes(): number {
    return this.#bytes
  }

  /** Takes a block. `owner` is the peer or connection that it came from, `announced` the Size1 option. */
  accept(owner: object, key: string, block: Block, payload: Uint8Array, announced: number | undefined, now: number): UploadResult {
    this.expire(now)
    const size = blockSize(block.szx)
    const fits =
      block.szx === BERT
        ? payload.length > 0 && (!block.more || payload.length % size === 0)
        : block.more
          ? payload.length === size
          : payload.length <= size
    if (!fits) return { outcome: 'malformed' }
    const offset = block.num * size
    let upload = this.#uploads.get(key)
    if (block.num === 0) {
      if (upload !== undefined) this.#drop(key, upload)
      if ((announced ?? 0) > this.#limits.body || payload.length > this.#limits.body) return { outcome: 'too-large' }
      if (!block.more) return { outcome: 'complete', body: payload }
      const count = this.#counts.get(owner) ?? 0
      if (this.#uploads.size >= this.#limits.count || count >= this.#limits.countPerOwner) return { outcome: 'full' }
      upload = { owner, buffer: new Uint8Array(0), length: 0, touched: now }
      this.#counts.set(owner, count + 1)
    } else if (upload === undefined) return { outcome: 'incomplete' }
    else {
      // The last block once more under a new message id: its answer was lost.
      if (block.more && offset + payload.length === upload.length) return { outcome: 'continue' }
      if (offset !== upload.length) return { outcome: 'incomplete' }
      if (upload.length + payload.length > this.#limits.body) {
        this.#drop(key, upload)
        return { outcome: 'too-large' }
      }
    }
    if (!this.#append(upload, payload)) {
      this.#drop(key, upload)
      return { outcome: 'full' }
    }
    if (!block.more) {
      const body = upload.buffer.subarray(0, upload.length)
      this.#drop(key, upload)
      return { outcome: 'complete', body }
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

  #append(upload: Upload, payload: Uint8Array): boolean {
    const length = upload.length + payload.length
    if (length > upload.buffer.length) {
      const capacity = Math.max(length, Math.min(this.#limits.body, Math.max(1024, upload.buffer.length * 2)))
      if (this.#bytes + capacity - upload.buffer.length > this.#limits.bytes) return false
      const wider = new Uint8Array(capacity)
      wider.set(upload.buffer.subarray(0, upload.length))
      this.#bytes += capacity - upload.buffer.length
      upload.buffer = wider
    }
    upload.buffer.set(payload, upload.length)
    upload.length = length
    return true
  }

  #drop(key: string, upload: Upload): void {
    this.#uploads.delete(key)
    this.#bytes -= upload.buffer.length
    const count = (this.#counts.get(upload.owner) ?? 1) - 1
    if (count > 0) this.#counts.set(upload.owner, count)
    else this.#counts.delete(upload.owner)
  }
}
