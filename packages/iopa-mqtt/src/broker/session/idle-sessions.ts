import type { Quota } from '../operation/quota.ts'
import type { Session } from './session.ts'

/** Sessions of one account that are looked at for one that frees something. */
const LOOKS = 256
/** Sessions that end for one request. */
const MOST_ENDED = 16

/** Sessions whose clients are away, by account, the oldest first: these end when others need room. Connected sessions do not. */
export class IdleSessions {
  readonly #evict: (session: Session) => void
  readonly #byAccount = new Map<string, Set<Session>>()

  constructor(evict: (session: Session) => void) {
    this.#evict = evict
  }

  add(session: Session): void {
    const idle = this.#byAccount.get(session.account)
    if (idle) idle.add(session)
    else this.#byAccount.set(session.account, new Set([session]))
  }

  delete(session: Session): void {
    const idle = this.#byAccount.get(session.account)
    if (idle?.delete(session) && idle.size === 0) this.#byAccount.delete(session.account)
  }

  /** True if an account may hold this much more of a quota, if necessary after idle sessions have ended; `weight` is what a session holds of it. */
  makeRoom(quota: Quota, account: string, amount: number, weight: (session: Session) => number): boolean {
    for (let ended = 0; !quota.allows(account, amount); ended++) {
      if (ended === MOST_ENDED || !this.#endOne(quota, account, quota.room < amount, weight)) return false
    }
    return true
  }

  /** Ends idle sessions of accounts that hold their share, until so much is free. */
  relieve(quota: Quota, amount: number, weight: (session: Session) => number): void {
    for (let ended = 0; ended < MOST_ENDED && quota.room < amount; ended++) if (!this.#endOne(quota, null, true, weight)) return
  }

  /** Ends the oldest idle session of the account that holds most; if the quota is not used up, of the account that asks. */
  #endOne(quota: Quota, asking: string | null, full: boolean, weight: (session: Session) => number): boolean {
    let largest = asking
    let most = asking === null ? 0 : quota.held(asking)
    if (full) {
      for (const account of this.#byAccount.keys()) {
        const held = quota.held(account)
        if (held <= most || (asking === null && !quota.exceeds(account))) continue
        largest = account
        most = held
      }
    }
    if (largest === null) return false
    let looks = 0
    for (const session of this.#byAccount.get(largest) ?? []) {
      if (weight(session) > 0) {
        this.#evict(session)
        return true
      }
      if (++looks === LOOKS) break
    }
    return false
  }
}
