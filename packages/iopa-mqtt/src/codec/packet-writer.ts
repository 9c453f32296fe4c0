import type { UserProperties } from './packets.ts'
import { PROPERTY } from './properties.ts'
import { variableByteIntegerSize, writeVariableByteInteger } from './variable-byte-integer.ts'

/** A packet of its first byte and its parts, with the length between them. */
export function encodePacket(first: number, ...parts: readonly Buffer[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  const header = Buffer.allocUnsafe(1 + variableByteIntegerSize(length))
  header[0] = first
  writeVariableByteInteger(header, 1, length)
  return Buffer.concat([header, ...parts])
}

/** Gathers the properties of a packet that is not frequent; what is undefined stays out. */
export class PropertyWriter {
  readonly #parts: Buffer[] = []

  uint8(identifier: number, value: number | undefined): this {
    if (value !== undefined) this.#parts.push(Buffer.from([identifier, value]))
    return this
  }

  uint16(identifier: number, value: number | undefined): this {
    if (value !== undefined) this.#parts.push(Buffer.from([identifier, value >> 8, value & 255]))
    return this
  }

  uint32(identifier: number, value: number | undefined): this {
    if (value === undefined) return this
    const bytes = Buffer.allocUnsafe(5)
    bytes[0] = identifier
    bytes.writeUInt32BE(value, 1)
    this.#parts.push(bytes)
    return this
  }

  variable(identifier: number, value: number | undefined): this {
    if (value === undefined) return this
    const bytes = Buffer.allocUnsafe(1 + variableByteIntegerSize(value))
    bytes[0] = identifier
    writeVariableByteInteger(bytes, 1, value)
    this.#parts.push(bytes)
    return this
  }

  string(identifier: number, value: string | undefined): this {
    return value === undefined ? this : this.binary(identifier, Buffer.from(value))
  }

  binary(identifier: number, value: Uint8Array | undefined): this {
    if (value !== undefined) this.#parts.push(Buffer.from([identifier, value.length >> 8, value.length & 255]), Buffer.from(value))
    return this
  }

  pairs(pairs: UserProperties | undefined): this {
    for (const [name, value] of pairs ?? []) {
      this.string(PROPERTY.USER_PROPERTY, name)
      const bytes = Buffer.from(value)
      this.#parts.push(Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes)
    }
    return this
  }

  /** The properties with their length in front. */
  finish(): Buffer {
    const body = Buffer.concat(this.#parts)
    const length = Buffer.allocUnsafe(variableByteIntegerSize(body.length))
    writeVariableByteInteger(length, 0, body.length)
    return Buffer.concat([length, body])
  }
}
