import { randomBytes, timingSafeEqual } from 'node:crypto'
import type { Clock, PlainMessage, RefusedRequest } from '@iopa/transport'
import { Budget } from '../contexts/budget.ts'
import type { SecurityContext } from '../contexts/security-context.ts'
import { encodePartialIv } from '../crypto/nonce.ts'
import { CODE, OPTION } from '../messages/option-numbers.ts'
import { sealMessage } from '../messages/outgoing.ts'
import { REFUSALS } from '../messages/refusals.ts'

const ECHO_LENGTH = 8
/** Requests whose challenge is kept, so that the same bytes answer the same request. */
const MOST_KEPT = 8
/** Challenges that a context makes at once, and those per second. */
const CHALLENGES = 16

/** The Echo by which the first request after a start proves that it is not from an earlier one (RFC 8613 appendix B.1.2, RFC 9175). */
export class Challenges {
  readonly #echo = new WeakMap<SecurityContext, Uint8Array>()
  readonly #kept = new WeakMap<SecurityContext, Map<string, Promise<RefusedRequest>>>()
  readonly #budgets = new WeakMap<SecurityContext, Budget>()
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** True for the Echo that this context was challenged with. */
  proves(context: SecurityContext, echo: Uint8Array | undefined | null): boolean {
    const expected = this.#echo.get(context)
    return expected !== undefined && echo?.length === ECHO_LENGTH && timingSafeEqual(expected, echo)
  }

  /** The challenge to a request: 4.01 with an Echo, under a Partial IV of our own. */
  challenge(context: SecurityContext, requestPartialIv: Uint8Array): Promise<RefusedRequest> | RefusedRequest {
    const kept = this.#keptBy(context)
    const key = Buffer.from(requestPartialIv).toString('latin1')
    const same = kept.get(key)
    if (same !== undefined) return same
    if (!this.#budgetOf(context).take()) return REFUSALS.busy
    const challenge = this.#make(context, new Uint8Array(requestPartialIv))
    kept.set(key, challenge)
    challenge.catch(() => kept.delete(key))
    if (kept.size > MOST_KEPT) kept.delete(kept.keys().next().value as string)
    return challenge
  }

  async #make(context: SecurityContext, requestPartialIv: Uint8Array): Promise<RefusedRequest> {
    let echo = this.#echo.get(context)
    if (echo === undefined) this.#echo.set(context, (echo = randomBytes(ECHO_LENGTH)))
    const partialIv = encodePartialIv(await context.numbers.next())
    const message: PlainMessage = { code: CODE.UNAUTHORIZED, options: [[OPTION.ECHO, echo]], payload: new Uint8Array(0) }
    const refusal = sealMessage(
      context,
      message,
      { inner: message.options, outer: [], observe: false },
      {
        nonce: context.ownNonce(partialIv),
        aad: context.authenticatedData(context.recipientId, requestPartialIv),
        header: { partialIv }
      }
    )
    return { refusal, code: 'oscore-not-fresh' }
  }

  #keptBy(context: SecurityContext): Map<string, Promise<RefusedRequest>> {
    let kept = this.#kept.get(context)
    if (kept === undefined) this.#kept.set(context, (kept = new Map()))
    return kept
  }

  #budgetOf(context: SecurityContext): Budget {
    let budget = this.#budgets.get(context)
    if (budget === undefined) this.#budgets.set(context, (budget = new Budget(CHALLENGES, this.#clock)))
    return budget
  }
}
