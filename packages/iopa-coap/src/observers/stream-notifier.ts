import type { ReceivedMessage } from '../codec/message.ts'
import type { Options } from '../codec/options.ts'
import type { StreamConnection } from '../exchanges/stream-exchanges.ts'
import type { NotificationSource, Notifier } from './notifications.ts'

const NOTHING = new Uint8Array(0)

/** Notifies an observer on its connection, where messages have no types and nothing is acknowledged (RFC 8323 section 7). */
export class StreamNotifier implements Notifier {
  readonly #remote: StreamConnection
  readonly #request: ReceivedMessage
  readonly #source: NotificationSource

  constructor(remote: StreamConnection, request: ReceivedMessage, source: NotificationSource) {
    this.#remote = remote
    this.#request = request
    this.#source = source
  }

  changed(): Promise<void> | undefined {
    const { code, options, payload } = this.#source.notification()
    this.#remote.send(this.#request, code, options, payload)
    this.#source.delivered()
    const { session } = this.#remote
    return session === undefined || session.writable ? undefined : session.drained()
  }

  dismiss(code: number, options: Options, payload: Uint8Array = NOTHING): void {
    this.#remote.send(this.#request, code, options, payload)
  }

  close(): void {
    // What was written cannot be taken back.
  }
}
