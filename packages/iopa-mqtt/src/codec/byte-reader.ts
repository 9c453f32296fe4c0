import { ProtocolError } from './protocol-error.ts'
import { REASON } from './reason-codes.ts'
import { isMqttString } from './utf8.ts'

/** Reads MQTT's data types one after another and refuses whatever is malformed (MQTT 5 section 1.5). */
export class ByteReader {
  readonly bytes: Buffer
  at: number
  readonly end: number

  constructor(bytes: Buffer, start: number, end: number) {
    this.bytes = bytes
    this.at = start
    this.end = end
  }

  uint8(): number {
    return this.bytes[this.#take(1)] as number
  }

  uint16(): number {
    const at = this.#take(2)
    return ((this.bytes[at] as number) << 8) | (this.bytes[at + 1] as number)
  }

  uint32(): number {
    return this.bytes.readUInt32BE(this.#take(4))
  }

  variableByteInteger(): number {
    let value = 0
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.uint8()
      value |= (byte & 127) << shift
      if (byte > 127) continue
      if (byte === 0 && shift > 0) throw malformed('a variable byte integer is longer than it needs to be')
      return value
    }
    throw malformed('a variable byte integer has more than four bytes')
  }

  /** Start of the string's bytes; the reader then stands behind them. */
  utf8(): number {
    const length = this.uint16()
    const start = this.#take(length)
    if (!isMqttString(this.bytes, start, start + length)) throw malformed('a string is not UTF-8 or holds U+0000')
    return start
  }

  /** Start of the binary data; the reader then stands behind it. */
  binary(): number {
    return this.#take(this.uint16())
  }

  string(): string {
    const start = this.utf8()
    return this.bytes.toString('utf8', start, this.at)
  }

  skip(length: number): void {
    this.#take(length)
  }

  #take(length: number): number {
    const at = this.at
    if (at + length > this.end) throw malformed('the packet is shorter than its fields')
    this.at = at + length
    return at
  }
}

export const malformed = (message: string): ProtocolError => new ProtocolError(REASON.MALFORMED_PACKET, message)
