import { Opener, Sealer } from './protection.ts'
import { plainRecord } from './record.ts'
import type { DirectionKeys } from './record-cipher.ts'

/** Both directions of one association: epoch 0 is plain, epoch 1 protected. There is no epoch 2, since nothing is renegotiated. */
export class RecordLayer {
  #plainSequence: number
  /** Protects what is sent; undefined in epoch 0. */
  sealer: Sealer | undefined
  /** Opens what is received; undefined in epoch 0. */
  opener: Opener | undefined

  /** `sequence` is the number of the first record: a server continues with that of the ClientHello (RFC 6347 section 4.2.1). */
  constructor(sequence: number) {
    this.#plainSequence = sequence
  }

  /** A record of epoch 0. */
  plain(type: number, content: Uint8Array, version = 0xfefd): Buffer {
    return plainRecord(type, version, this.#plainSequence++, content)
  }

  protectSending(keys: DirectionKeys, cid: Uint8Array): void {
    this.sealer = new Sealer(keys, cid)
  }

  protectReceiving(keys: DirectionKeys, usesCid: boolean): void {
    this.opener = new Opener(keys, usesCid)
  }

  /** Overwrites all keys. */
  wipe(): void {
    this.sealer?.keys.secrets.fill(0)
    this.opener?.keys.secrets.fill(0)
    this.sealer = undefined
    this.opener = undefined
  }
}
