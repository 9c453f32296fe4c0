/** `strict` acknowledges in the order of arrival ([MQTT-4.6.0-2]); `any` as soon as the work is done. */
export type AckOrder = 'strict' | 'any'

/** A message that waits for its acknowledgement. */
export interface AckSlot {
  readonly packetId: number
  done: boolean
}

/**
 * Acknowledgements of one connection. Work finishes in any order, acknowledgements leave in the order of arrival: a finished one waits for
 * those before it. A queue belongs to one connection: its packet identifiers mean nothing on another one (MQTT 5 section 2.2.1).
 */
export class AckQueue {
  #order: AckOrder
  #release: (packetId: number) => void
  #slots: AckSlot[] = []
  #head = 0

  /** `release` is called once for each slot, with its packet identifier, and must not throw. */
  constructor(order: AckOrder, release: (packetId: number) => void) {
    this.#order = order
    this.#release = release
  }

  add(packetId: number): AckSlot {
    const slot: AckSlot = { packetId, done: false }
    if (this.#order === 'strict') this.#slots.push(slot)
    return slot
  }

  /** Marks a slot as done, and releases whatever may leave now. Doing it twice changes nothing. */
  complete(slot: AckSlot): void {
    if (slot.done) return
    slot.done = true
    if (this.#order === 'any') {
      this.#release(slot.packetId)
      return
    }
    while (this.#slots[this.#head]?.done) {
      const { packetId } = this.#slots[this.#head++]!
      this.#release(packetId)
    }
    if (this.#head > 1024 || this.#head === this.#slots.length) {
      this.#slots.splice(0, this.#head)
      this.#head = 0
    }
  }
}
