import type { VirtualClock } from '@iopa/testing'
import type { Ledger } from './ledger.ts'
import type { MqttClient } from './mqtt-client.ts'
import type { Observer } from './observers.ts'
import { STREAMS, USERS } from './rights.ts'
import type { Truth } from './served-app.ts'
import type { SessionModel, Token } from './sessions.ts'

/** What is looked at when a world has come to its end: every client is back, and everything has come to rest. */
export class FinalChecks {
  readonly #ledger: Ledger
  readonly #truth: Truth
  readonly #clock: VirtualClock
  readonly #connect: (user: string, clientId: string) => MqttClient

  constructor(ledger: Ledger, truth: Truth, clock: VirtualClock, connect: (user: string, clientId: string) => MqttClient) {
    this.#ledger = ledger
    this.#truth = truth
    this.#clock = clock
    this.#connect = connect
  }

  async run(clients: readonly MqttClient[], observers: readonly Observer[], revoked: ReadonlySet<string>): Promise<void> {
    const back: MqttClient[] = []
    for (const client of clients) {
      client.resume()
      client.release()
    }
    await this.#clock.advance(20_000)
    for (const session of this.#ledger.sessions) {
      if (session.over || session.connection > 0 || revoked.has(session.user)) continue
      back.push(this.#connect(session.user, session.clientId))
      await this.#clock.advance(60)
    }
    await this.#clock.advance(20_000)
    this.#ledger.settle()
    this.#ledger.wills.settle()
    this.#states(observers)
    await this.#retained()
    await this.#dropped()
    for (const client of back) client.kill()
  }

  /** Every observer and stable subscriber has the newest state. */
  #states(observers: readonly Observer[]): void {
    for (const { active, last, topic, protocol, user } of observers) {
      if (active && !this.#isNewest(topic, last)) this.#ledger.fault(`${protocol} observer ${user || '(none)'} of ${topic} ends with @${last}@`)
    }
    for (const session of this.#ledger.sessions) {
      if (session.over || session.doubtful || session.connection === 0) continue
      for (const [topic, last] of session.states) {
        if (this.#mustConverge(session, topic, last) && !this.#isNewest(topic, last))
          this.#ledger.fault(`${session.name} ends with @${last}@ of ${topic}`)
      }
    }
  }

  #isNewest(topic: string, last: string): boolean {
    if (topic.startsWith('own/')) return this.#truth.shown.get(last) === (this.#truth.changes.get(topic) ?? 0)
    return last === (this.#truth.states.get(topic) ?? '')
  }

  /** True where nothing that the session did can have kept a change from it. */
  #mustConverge(session: SessionModel, topic: string, last: string): boolean {
    const token = this.#ledger.tokens.get(last) as Token
    const matching = session.possible(topic, token.sentAt)
    const granted = session.granted(topic).filter(({ noLocal, group }) => !noLocal && group === '')
    return (
      matching.every(({ group, noLocal }) => group === '' && !noLocal) &&
      granted.some(one => one.grantedAt < token.sentAt && session.connectedAt < token.sentAt)
    )
  }

  /** New subscribers get the newest retained messages that they may read. */
  async #retained(): Promise<void> {
    const found = new Map<string, Map<string, Token>>()
    for (const user of USERS.filter(name => !this.#truth.revoked.has(name))) {
      const client = this.#connect(user, `final-${user}`)
      await this.#clock.advance(60)
      if (!client.isOpen) continue
      const session = client.session as SessionModel
      client.subscribe({ filter: '#', qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 })
      await this.#clock.advance(12_000)
      const tokens = new Map<string, Token>()
      for (const id of session.got) {
        const token = this.#ledger.tokens.get(id) as Token
        tokens.set(token.topic, token)
      }
      found.set(user, tokens)
      client.leave(0)
      await this.#clock.advance(20)
    }
    for (const topic of STREAMS) {
      const candidates = this.#candidates(topic)
      for (const [user, tokens] of found) {
        if (!this.#ledger.rights.mayRead(user, topic)) continue
        const token = tokens.get(topic) ?? null
        if (!candidates.includes(token)) {
          const names = candidates.map(one => (one ? `@${one.id}@` : 'none'))
          this.#ledger.fault(`${user || '(none)'} finds ${token ? `@${token.id}@` : 'nothing'} retained on ${topic}; it can be ${names}`)
        }
      }
    }
  }

  /** What may be retained on a topic: no message that was acknowledged before another one was sent. */
  #candidates(topic: string): (Token | null)[] {
    const all = [...this.#ledger.tokens.values()].filter(
      one => one.topic === topic && one.retain && one.allowed && !one.refused && (one.kind === 'message' || one.kind === 'will')
    )
    const clears = this.#ledger.cleared.filter(one => one.topic === topic)
    const sure = [...all.filter(one => one.kind === 'message' && one.ackedAt >= 0), ...clears.filter(one => one.ackedAt >= 0)]
    const last = Math.max(0, ...sure.map(({ sentAt }) => sentAt))
    const alive = (one: { readonly ackedAt: number }): boolean => one.ackedAt < 0 || one.ackedAt >= last
    const tokens: (Token | null)[] = all.filter(one => one.kind === 'will' || alive(one))
    if (this.#ledger.hasForgotten || sure.length === 0 || clears.some(alive) || tokens.some(one => one?.expires)) tokens.push(null)
    return tokens
  }

  /** Sessions that ended since too much waited for them show in what the broker counts. */
  async #dropped(): Promise<void> {
    if (this.#ledger.overflowed + this.#ledger.evicted === 0) return
    const client = this.#connect('', 'final-statistics')
    await this.#clock.advance(60)
    if (!client.isOpen) return
    client.subscribe({ filter: '$SYS/#', qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 })
    await this.#clock.advance(2000)
    const figure = (name: string): number => Number((client.session as SessionModel).figures.get(name) ?? 0)
    if (figure('$SYS/broker/publish/messages/dropped') < this.#ledger.overflowed && !this.#ledger.hasRestarted)
      this.#ledger.fault('messages were lost for want of room, and not counted')
    if (figure('$SYS/broker/clients/evicted') < this.#ledger.evicted && !this.#ledger.hasRestarted)
      this.#ledger.fault('sessions ended to make room, and were not counted')
    client.leave(0)
  }
}
