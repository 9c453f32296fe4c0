import type { Clock, TransportApp } from '@iopa/transport'
import type { EventSubject } from '../operation/client-events.ts'
import { sessionName } from './names.ts'

/** Milliseconds within which events make one notification. */
const INTERVAL = 250
/** Sessions that one notification names; with more, all that are observed are read again. */
const MOST = 1000

/** Notifies observers of the administration, a few times a second at most. */
export class Notices {
  readonly #app: Pick<TransportApp, 'notifyWhere'>
  readonly #base: string
  readonly #clock: Clock
  readonly #sessions = new Set<string>()
  #timer: unknown = null

  constructor(app: Pick<TransportApp, 'notifyWhere'>, base: string, clock: Clock) {
    this.#app = app
    this.#base = base
    this.#clock = clock
  }

  /** Something happened to a client. */
  readonly changed = ({ user, clientId }: EventSubject): void => {
    if (this.#sessions.size <= MOST) this.#sessions.add(`${this.#base}/sessions/${sessionName(user, clientId)}`)
    this.#timer ??= this.#clock.setTimeout(this.#notify, INTERVAL)
  }

  /** The statistics have changed. */
  statistics(): void {
    this.#app.notifyWhere(nothing, [`${this.#base}/statistics`])
  }

  close(): void {
    if (this.#timer !== null) this.#clock.clearTimeout(this.#timer)
    this.#timer = null
    this.#sessions.clear()
  }

  readonly #notify = (): void => {
    this.#timer = null
    const sessions = new Set(this.#sessions)
    this.#sessions.clear()
    const all = `${this.#base}/sessions/`
    const names = sessions.size > MOST ? (path: string) => path.startsWith(all) : (path: string) => sessions.has(path)
    this.#app.notifyWhere(names, [`${this.#base}/events`, `${this.#base}/sessions`])
  }
}

const nothing = (): boolean => false
