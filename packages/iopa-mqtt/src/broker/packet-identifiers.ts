/** Packet identifiers of what a server sends, from 1, each given out again only when it is free (MQTT 5 section 2.2.1). */
export class PacketIdentifiers {
  #last = 0

  /** The next one that is not in use; the caller keeps fewer than 65,535 in use. */
  next(inUse: { has(packetId: number): boolean }): number {
    do this.#last = this.#last === 65_535 ? 1 : this.#last + 1
    while (inUse.has(this.#last))
    return this.#last
  }
}
