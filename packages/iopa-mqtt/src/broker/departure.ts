import type { Connection } from './connection.ts'
import type { WillFate } from './wills.ts'

/** How a connection parts from its session and ends its scope: once, whatever ends it first. */
export class Departure {
  readonly #connection: Connection
  /** True when its CONNECT was accepted. */
  connected = false
  /** -1 until it has begun. */
  #reasonCode = -1

  constructor(connection: Connection) {
    this.#connection = connection
  }

  /** What is in work is finished first: a message that was taken is not lost because its sender left. */
  begin(reasonCode: number, will: WillFate, inWork: number): void {
    if (this.#reasonCode !== -1) return
    this.#reasonCode = reasonCode
    const connection = this.#connection
    connection.broker.sessions.left(connection, will)
    if (inWork === 0) this.workEnded()
  }

  /** Nothing is in work any more. */
  workEnded(): void {
    const connection = this.#connection
    const { context } = connection
    if (this.#reasonCode === -1 || context === null) return
    connection.context = null
    connection.broker.farewell(context, this.#reasonCode, this.connected)
  }
}
