import type { WriteBatches } from '../ports.ts'

/** What a send buffer writes to. */
export interface ByteSink {
  /** False asks to wait for the next drain. */
  write(bytes: Uint8Array): boolean
}

const FIRST_BLOCK = 512
const LARGEST_BLOCK = 65_536
/** Packets up to this size are copied into one block; larger ones are written without a copy. */
const COPY_LIMIT = 4096

/**
 * Bytes to be written to one client. Everything that is appended between two flushes is one write; packets that lie next to each other in
 * the same memory are not copied. Above its mark it is `full`: the caller then drops a message (QoS 0), queues it (QoS 1 and 2), or stops
 * reading from the client (acknowledgements).
 */
export class SendBuffer {
  readonly #sink: ByteSink
  readonly #highWaterMark: number
  readonly #schedule: (buffer: SendBuffer) => void
  readonly #counters: { bytesSent: number }
  /** Whole parts before the open range or block. */
  #parts: Buffer[] = []
  #partsLength = 0
  /** A range of a received chunk, open at its end. */
  #range: Buffer | null = null
  #rangeStart = 0
  #rangeEnd = 0
  /** A block of this buffer, open at its end. */
  #block: Buffer | null = null
  #blockStart = 0
  #blockEnd = 0
  #lastSize = FIRST_BLOCK
  #scheduled = false
  /** True while the sink has asked to wait. */
  blocked = false
  #closed = false

  /** `schedule` has `flush()` called once, at the end of the batch. */
  constructor(sink: ByteSink, highWaterMark: number, schedule: (buffer: SendBuffer) => void, counters: { bytesSent: number } = { bytesSent: 0 }) {
    this.#counters = counters
    this.#sink = sink
    this.#highWaterMark = highWaterMark
    this.#schedule = schedule
  }

  /** Bytes that wait here. */
  get size(): number {
    return this.#partsLength + (this.#rangeEnd - this.#rangeStart) + (this.#blockEnd - this.#blockStart)
  }

  /** True if the peer takes nothing and more waits than the mark allows. */
  get full(): boolean {
    return this.blocked && this.size >= this.#highWaterMark
  }

  /** Appends bytes, which must not change any more. */
  append(bytes: Buffer, start: number, end: number): void {
    if (this.#closed) return
    if (this.#range === bytes && this.#rangeEnd === start && !this.blocked) {
      this.#rangeEnd = end
      return
    }
    const length = end - start
    if (!this.#scheduled) {
      this.#scheduled = true
      this.#schedule(this)
      // The first part of a flush stays where it is; most flushes have no second.
      if (!this.blocked && this.#block === null && this.#range === null) {
        this.#range = bytes
        this.#rangeStart = start
        this.#rangeEnd = end
        return
      }
    }
    if (length > COPY_LIMIT && !this.blocked) {
      this.#closeOpen()
      this.#parts.push(bytes.subarray(start, end))
      this.#partsLength += length
      return
    }
    const at = this.reserve(length)
    const block = this.#block as Buffer
    if (length < 96) for (let from = start, to = at; from < end; ) block[to++] = bytes[from++] as number
    else bytes.copy(block, at, start, end)
  }

  /** Reserves room for bytes; the caller writes them at once into `block` from the returned position. */
  reserve(length: number): number {
    if (!this.#scheduled && !this.#closed) {
      this.#scheduled = true
      this.#schedule(this)
    }
    if (this.#range !== null) this.#takeRange(length)
    let block = this.#block
    if (block === null || this.#blockEnd + length > block.length) {
      this.#closeOpen()
      const size = Math.max(length, Math.min(LARGEST_BLOCK, this.#lastSize))
      this.#lastSize = Math.min(LARGEST_BLOCK, this.#lastSize * 2)
      block = this.#block = Buffer.allocUnsafe(size)
      this.#blockStart = this.#blockEnd = 0
    }
    const at = this.#blockEnd
    this.#blockEnd = at + length
    return at
  }

  /** The block of the last `reserve`. */
  get block(): Buffer {
    return this.#block as Buffer
  }

  /** Writes everything in one write, unless the sink has asked to wait. */
  flush(): void {
    this.#scheduled = false
    if (this.blocked || this.#closed) return
    const bytes = this.#take()
    if (bytes === null) return
    this.#counters.bytesSent += bytes.length
    if (!this.#sink.write(bytes)) this.blocked = true
  }

  /** The sink takes bytes again. */
  drained(): void {
    this.blocked = false
    this.flush()
  }

  /** Drops everything, and ignores further bytes. */
  close(): void {
    this.#closed = true
    this.#take()
  }

  #take(): Buffer | null {
    const total = this.size
    if (total === 0) return null
    this.#lastSize = Math.min(LARGEST_BLOCK, Math.max(FIRST_BLOCK, 1 << (32 - Math.clz32(total - 1))))
    let bytes: Buffer
    if (this.#parts.length === 0 && this.#range !== null) {
      // A small piece of a large chunk would hold all of it for as long as the peer takes to read.
      const range = this.#range.subarray(this.#rangeStart, this.#rangeEnd)
      bytes = total * 4 < this.#range.buffer.byteLength ? Buffer.from(range) : range
      this.#range = null
    } else {
      this.#closeOpen()
      bytes = this.#parts.length === 1 ? (this.#parts[0] as Buffer) : Buffer.concat(this.#parts, total)
      this.#parts = []
      this.#partsLength = 0
    }
    this.#block = null
    this.#rangeStart = this.#rangeEnd = this.#blockStart = this.#blockEnd = 0
    return bytes
  }

  /** Turns the open range into the beginning of a block, or into a part when it is long. */
  #takeRange(more: number): void {
    const range = this.#range as Buffer
    const start = this.#rangeStart
    const end = this.#rangeEnd
    const length = end - start
    this.#range = null
    this.#rangeStart = this.#rangeEnd = 0
    if (length > COPY_LIMIT) {
      this.#parts.push(range.subarray(start, end))
      this.#partsLength += length
      return
    }
    this.#block = Buffer.allocUnsafe(Math.max(length + more, Math.min(LARGEST_BLOCK, this.#lastSize)))
    this.#lastSize = Math.min(LARGEST_BLOCK, this.#lastSize * 2)
    range.copy(this.#block, 0, start, end)
    this.#blockStart = 0
    this.#blockEnd = length
  }

  #closeOpen(): void {
    if (this.#range !== null) {
      this.#parts.push(this.#range.subarray(this.#rangeStart, this.#rangeEnd))
      this.#partsLength += this.#rangeEnd - this.#rangeStart
      this.#range = null
      this.#rangeStart = this.#rangeEnd = 0
    }
    if (this.#blockEnd > this.#blockStart) {
      this.#parts.push((this.#block as Buffer).subarray(this.#blockStart, this.#blockEnd))
      this.#partsLength += this.#blockEnd - this.#blockStart
      // What is left of the block is used on.
      this.#blockStart = this.#blockEnd
    }
  }
}

/**
 * Flushes send buffers once per batch: at the end of a read, or after an asynchronous handler has answered. If many handlers end in one turn
 * of the event loop, the bytes of the first are written at once and those of the others together.
 */
export class Flusher implements WriteBatches {
  #waiting: SendBuffer[] = []
  #depth = 0
  #queued = false
  /** True if something was written in this turn, outside of a batch. */
  #written = false
  readonly #flush = (): void => {
    this.#queued = false
    this.flush()
  }
  readonly #turn = (): void => {
    this.#written = false
    if (this.#queued) this.#flush()
  }

  readonly add = (buffer: SendBuffer): void => {
    this.#waiting.push(buffer)
    if (this.#depth > 0 || this.#queued) return
    this.#queued = true
    if (this.#written) return
    this.#written = true
    queueMicrotask(this.#flush)
    setImmediate(this.#turn)
  }

  batch(work: () => void): void {
    this.begin()
    try {
      work()
    } finally {
      this.end()
    }
  }

  begin(): void {
    this.#depth++
  }

  end(): void {
    if (--this.#depth === 0) this.flush()
  }

  flush(): void {
    while (this.#waiting.length > 0) {
      const buffers = this.#waiting
      this.#waiting = []
      for (const buffer of buffers) buffer.flush()
    }
  }
}
