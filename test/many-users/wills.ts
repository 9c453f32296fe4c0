import type { Ledger } from './ledger.ts'
import { ON_ITS_WAY, type SessionModel, type Token } from './sessions.ts'

/** Which wills may be published, which must be, and which may not. */
export class WillModel {
  readonly #ledger: Ledger
  /** Wills that were published, and where the first receipt was. */
  readonly #seen: Map<Token, number> = new Map()

  constructor(ledger: Ledger) {
    this.#ledger = ledger
  }

  /** A will came to a client. */
  seen(will: Token): void {
    if (!this.#seen.has(will)) this.#seen.set(will, this.#ledger.now())
  }

  /** A CONNECT is sent: a DISCONNECT that is on its way may come after it. */
  connecting(user: string, clientId: string): void {
    const { now, tokens } = this.#ledger
    for (const token of tokens.values()) {
      if (token.kind !== 'will' || token.user !== user || token.session?.clientId !== clientId) continue
      if (token.fate === 'left' && now() - token.ackedTime < ON_ITS_WAY) token.fate = 'may'
    }
  }

  /** A connection ended. */
  closed(session: SessionModel, will: Token, how: 'killed' | 'left' | 'by broker'): void {
    if (will.fate !== 'armed') return
    const ledger = this.#ledger
    const sure = !session.doubtful && !this.#mayHaveEnded(session)
    will.ackedTime = ledger.now()
    will.fate = how === 'left' && sure ? 'left' : 'may'
    // A client that vanishes after its connection had nothing else to end it has its will published now.
    const certain = how === 'killed' && sure && session.connection === will.stream
    if (certain && will.allowed && will.qos > 0 && !will.expires) {
      ledger.expect(will)
      will.ackedAt = ledger.tick()
    }
  }

  /** True when something that its client has not seen yet may have ended its connection. */
  #mayHaveEnded(session: SessionModel): boolean {
    const { now, tokens, rights, queue } = this.#ledger
    const recently = now() - this.#ledger.lastConnect(session) < ON_ITS_WAY
    return recently || session.mayWait(tokens.values(), rights, now()) >= queue
  }

  /** A user is revoked: the wills of that user's connections are not published. */
  revoked(user: string): void {
    for (const will of this.#ledger.tokens.values()) {
      if (will.kind !== 'will' || will.user !== user || will.fate !== 'armed') continue
      const session = [...this.#ledger.sessions].find(({ connection }) => connection === will.stream)
      // One whose connection the broker has replaced, or does not have yet, may have been published before.
      will.fate = session && !session.doubtful && !session.mixed && !this.#mayHaveEnded(session) ? 'never' : 'may'
    }
  }

  /** The broker is about to be closed: what happens to wills is not known. */
  restarting(): void {
    const { now, sessions, tokens } = this.#ledger
    for (const token of tokens.values()) {
      if (token.kind !== 'will') continue
      // Its client may be back before the broker has found that it had gone.
      if (now() - token.ackedTime < ON_ITS_WAY) for (const { expected } of sessions) expected.delete(token.id)
      const leaving = token.fate === 'left' && now() - token.ackedTime < ON_ITS_WAY
      if (token.fate === 'armed' || leaving) token.fate = 'may'
    }
  }

  /** Checks wills, when nothing is to come any more. */
  settle(): void {
    for (const [{ id, fate }, at] of this.#seen) {
      if (fate === 'left') this.#ledger.fault(`@${id}@: the will was published at ${at} ms, though its client had left`)
      if (fate === 'never') this.#ledger.fault(`@${id}@: the will was published at ${at} ms, though its user was revoked`)
    }
  }
}
