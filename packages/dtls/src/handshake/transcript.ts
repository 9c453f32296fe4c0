import { createHash } from 'node:crypto'
import { messageHeader } from './message.ts'

/** The handshake messages so far, as if none were fragmented (RFC 6347 section 4.2.6). HelloVerifyRequest and the ClientHello before it are left out. */
export class Transcript {
  readonly #parts: Uint8Array[] = []

  add(type: number, sequence: number, body: Uint8Array): void {
    this.#parts.push(messageHeader(type, body.length, sequence), body)
  }

  /** All messages: what a CertificateVerify signs. */
  bytes(): Buffer {
    return Buffer.concat(this.#parts)
  }

  digest(algorithm = 'sha256'): Buffer {
    const hash = createHash(algorithm)
    for (const part of this.#parts) hash.update(part)
    return hash.digest()
  }
}
