import type { DatagramEndpoint } from '@iopa/transport'
import { CONTENT, contentOf, MOST_RECORDS, plainRecord, type ReceivedRecord } from '../records/record.ts'
import { Cookies, cookiePlace } from './cookie.ts'
import { DTLS_1_0, helloVerifyRequestBytes } from './hello.ts'
import { MESSAGE, messageHeader } from './message.ts'
import { readFragments, type WholeMessage } from './reassembly.ts'

/** A client with more tries than this does not exist; later message numbers must not run out. */
const LAST_TRY = 255

/** A ClientHello: `accepted` with a cookie that proves its address, else with the answer that gives it one; undefined for what is not answered. */
export type HelloVerdict = { readonly accepted: WholeMessage } | { readonly answer: Uint8Array } | undefined

/** What stands before the handshake of a server: it keeps nothing of a client whose address is not proven. */
export class HelloGate {
  readonly #cookies: Cookies

  constructor(now: number) {
    this.#cookies = new Cookies(now)
  }

  /** True for a record that begins with a ClientHello. */
  isHello(record: ReceivedRecord): boolean {
    return (
      record.type === CONTENT.HANDSHAKE &&
      record.epoch === 0 &&
      record.datagram[record.content] === MESSAGE.CLIENT_HELLO &&
      record.end > record.content
    )
  }

  judge(record: ReceivedRecord, peer: DatagramEndpoint, now: number): HelloVerdict {
    const fragment = readFragments(contentOf(record))?.[0]
    // A cookie covers the whole message, so before it there are no fragments.
    if (fragment === undefined || fragment.bytes.length !== fragment.length || record.sequence >= MOST_RECORDS) return undefined
    const { type, sequence, bytes } = fragment
    if (sequence > LAST_TRY || cookiePlace(bytes) === undefined) return undefined
    if (this.#cookies.verify(peer, bytes, now)) return { accepted: { type, sequence, body: bytes } }
    const body = helloVerifyRequestBytes(this.#cookies.create(peer, bytes, now))
    const message = Buffer.concat([messageHeader(MESSAGE.HELLO_VERIFY_REQUEST, body.length, sequence), body])
    // The number of the record is that of the ClientHello (RFC 6347 section 4.2.1).
    const answer = plainRecord(CONTENT.HANDSHAKE, DTLS_1_0, record.sequence, message)
    return answer.length <= record.datagram.length ? { answer } : undefined
  }
}
