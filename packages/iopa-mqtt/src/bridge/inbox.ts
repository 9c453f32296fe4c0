/** Bounds of an `Inbox`. */
export interface InboxOptions<Message> {
  /** Messages in work at the same time. */
  readonly window: number
  /** Messages that wait for their turn, at most. */
  readonly maxWaiting: number
  /** Bytes of them, at most. */
  readonly maxWaitingBytes: number
  /** Messages of one key are worked on one after another, in the order of arrival. */
  readonly keyOf: (message: Message) => string
  readonly sizeOf: (message: Message) => number
  /** Does the work; must not reject. */
  readonly run: (message: Message) => Promise<void>
}

/**
 * Spreads messages over a bounded number of workers: different topics at once, the messages of one topic in order. The window is our own:
 * brokers overshoot the Receive Maximum that they were given, and MQTT 3.1.1 has none.
 */
export class Inbox<Message> {
  readonly #options: InboxOptions<Message>
  /** Per key, what waits behind the message in work. */
  readonly #lanes = new Map<string, Message[]>()
  /** Keys that have a message to work on and wait for a free worker. */
  readonly #ready: string[] = []
  #running = 0
  #waiting = 0
  #waitingBytes = 0
  readonly #idle: (() => void)[] = []
  #room: (() => void)[] = []
  #finishedCount = 0

  constructor(options: InboxOptions<Message>) {
    this.#options = options
  }

  /** Messages in work. */
  get running(): number {
    return this.#running
  }

  /** Messages that wait. */
  get waiting(): number {
    return this.#waiting
  }

  /** Messages that have been worked on so far. */
  get finished(): number {
    return this.#finishedCount
  }

  /** True when no further message can wait. */
  get full(): boolean {
    return this.#waiting >= this.#options.maxWaiting || this.#waitingBytes >= this.#options.maxWaitingBytes
  }

  /** Calls `roomy` once, when half of the room is free again; the function that it returns withdraws that. */
  whenRoomy(roomy: () => void): () => void {
    this.#room.push(roomy)
    return () => {
      this.#room = this.#room.filter(one => one !== roomy)
    }
  }

  /** Takes a message, or refuses it (false) when the bounds are reached. */
  offer(message: Message): boolean {
    const { window, maxWaiting, maxWaitingBytes, keyOf, sizeOf } = this.#options
    const key = keyOf(message)
    const lane = this.#lanes.get(key)
    if (!lane && this.#running < window) {
      this.#lanes.set(key, [])
      this.#start(key, message)
      return true
    }
    const size = sizeOf(message)
    if (this.#waiting >= maxWaiting || this.#waitingBytes + size > maxWaitingBytes) return false
    this.#waiting++
    this.#waitingBytes += size
    if (lane) lane.push(message)
    else {
      this.#lanes.set(key, [message])
      this.#ready.push(key)
    }
    return true
  }

  /** Resolves when no message is in work and none waits. */
  idle(): Promise<void> {
    if (this.#running === 0 && this.#waiting === 0) return Promise.resolve()
    return new Promise(resolve => this.#idle.push(resolve))
  }

  #start(key: string, message: Message): void {
    this.#running++
    void this.#options.run(message).then(() => this.#finished(key))
  }

  #finished(key: string): void {
    this.#running--
    this.#finishedCount++
    const lane = this.#lanes.get(key)
    if (lane && lane.length > 0) this.#ready.push(key)
    else this.#lanes.delete(key)
    while (this.#running < this.#options.window) {
      const next = this.#ready.shift()
      if (next === undefined) break
      const message = this.#lanes.get(next)!.shift()!
      this.#waiting--
      this.#waitingBytes -= this.#options.sizeOf(message)
      this.#start(next, message)
    }
    if (this.#room.length > 0 && this.#roomy) for (const roomy of this.#room.splice(0)) roomy()
    if (this.#running === 0 && this.#waiting === 0) for (const resolve of this.#idle.splice(0)) resolve()
  }

  get #roomy(): boolean {
    return this.#waiting * 2 <= this.#options.maxWaiting && this.#waitingBytes * 2 <= this.#options.maxWaitingBytes
  }
}
