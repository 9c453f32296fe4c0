import type { PlainMessage, RefusedRequest } from '@iopa/transport'
import { protectingTo } from '../client/request-protecting.ts'
import type { ContextSource, Opening, ProtectedFields } from '../contexts/context-source.ts'
import type { ContextTable } from '../contexts/context-table.ts'
import type { SecurityContext } from '../contexts/security-context.ts'
import { decodePartialIv } from '../crypto/nonce.ts'
import { mergeRequest, singleOption } from '../messages/option-classes.ts'
import { OPTION } from '../messages/option-numbers.ts'
import { decodeOscoreOption } from '../messages/oscore-option.ts'
import { decodePlaintext } from '../messages/plaintext.ts'
import { REFUSALS } from '../messages/refusals.ts'
import type { Challenges } from './challenges.ts'
import { OpenedOscoreRequest } from './opened-request.ts'

/** Verifies requests (RFC 8613 section 8.2). */
export class RequestOpening {
  readonly #table: ContextTable
  readonly #challenges: Challenges

  constructor(table: ContextTable, challenges: Challenges) {
    this.#table = table
    this.#challenges = challenges
  }

  /** Undefined for a request without an OSCORE option. */
  open(request: PlainMessage): Opening | undefined | Promise<Opening> {
    const value = singleOption(request.options, OPTION.OSCORE)
    if (value === undefined) return undefined
    const header = value === null ? undefined : decodeOscoreOption(value)
    // A request has a kid and a Partial IV (RFC 8613 section 5), and a payload (section 2).
    if (header?.kid === undefined || header.partialIv === undefined || request.payload.length === 0) return REFUSALS.malformed
    const fields: ProtectedFields = {
      kid: header.kid,
      kidContext: header.kidContext,
      partialIv: header.partialIv,
      ciphertext: request.payload
    }
    const sources = this.#table.find(fields.kid)
    let refused: RefusedRequest = REFUSALS.unknown
    for (const source of sources) {
      for (const context of source.candidates(fields.kidContext)) {
        const opened = this.#openWith(source, context, fields, request)
        if (!isRefused(opened)) return opened
        refused = opened
      }
    }
    for (const source of sources) {
      const answer = source.rederive(fields, context => this.#openWith(source, context, fields, request))
      if (answer === undefined) continue
      if (!isRefused(answer)) return answer
      refused = answer
    }
    return refused
  }

  #openWith(
    source: ContextSource,
    context: SecurityContext,
    { partialIv, ciphertext }: ProtectedFields,
    request: PlainMessage
  ): Opening | Promise<Opening> {
    const number = decodePartialIv(partialIv)
    if (context.window?.accepts(number) === false) return REFUSALS.replayed
    const aad = context.authenticatedData(context.recipientId, partialIv)
    const plaintext = context.unseal(context.peerNonce(partialIv), aad, ciphertext)
    if (plaintext === undefined) return REFUSALS.undecryptable
    const inner = decodePlaintext(plaintext)
    const proven = context.window !== undefined
    if (inner === undefined || !isRequest(inner)) {
      // Only the peer can have made it: its number is used.
      context.window?.add(number)
      return REFUSALS.malformed
    }
    if (!proven && !this.#challenges.proves(context, singleOption(inner.options, OPTION.ECHO))) return this.#challenges.challenge(context, partialIv)
    if (proven) context.window?.add(number)
    else context.synchronise(number)
    const message: PlainMessage = { code: inner.code, options: mergeRequest(inner.options, request.options), payload: inner.payload }
    return new OpenedOscoreRequest(context, partialIv, message, protectingTo(source))
  }
}

/** True for a code of requests, and without a second layer of OSCORE (RFC 8613 section 4.1.3.7). */
const isRequest = ({ code, options }: PlainMessage): boolean => code > 0 && code < 0x20 && !options.some(([number]) => number === OPTION.OSCORE)

/** True for the refusals that another context may still turn into success. */
const isRefused = (opening: Opening | Promise<Opening>): opening is RefusedRequest =>
  opening === REFUSALS.replayed || opening === REFUSALS.undecryptable || opening === REFUSALS.unknown
