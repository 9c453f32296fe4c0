import type { Context, Endpoint, Host, RequestSource } from '@iopa/transport'
import type { ClientConnection, SessionScope, TopicView } from '../ports.ts'

/** Makes the contexts of packets other than PUBLISH. */
export class Requests {
  readonly #host: Pick<Host, 'create' | 'run'>

  constructor(host: Pick<Host, 'create' | 'run'>) {
    this.#host = host
  }

  /** A control request: CONNECT, SUBSCRIBE, UNSUBSCRIBE, DISCONNECT. */
  control(method: string, path: string, endpoint: Endpoint, source: RequestSource | null, parent?: Context): Context {
    const init = { method, path, query: '', rawPath: path, endpoint, source }
    return parent ? this.#host.create(init, parent) : this.#host.create(init)
  }

  /** A GET that observes a topic, in the name of a session; for a topic that no route may have, a SUBSCRIBE. */
  read({ context: parent, source }: SessionScope, topic: TopicView): Context {
    const method = topic.routable ? 'GET' : 'SUBSCRIBE'
    const init = { method, path: topic.path, query: '', rawPath: topic.path, endpoint: parent.endpoint, source }
    const context = this.#host.create(init, parent)
    context['iopa.Observe'] = true
    return context
  }

  /** A PUBLISH that checks whether a session may have answers published to a topic. */
  reply({ context, source }: SessionScope, topic: TopicView): Context {
    return this.control('PUBLISH', topic.path, context.endpoint, source, context)
  }

  /** Runs the DISCONNECT of an accepted connection, and then ends the scope of the connection. */
  disconnect(connection: Context, reasonCode: number): void {
    const context = this.control('DISCONNECT', '/', connection.endpoint, null, connection)
    context['mqtt.ReasonCode'] = reasonCode
    this.#host.run(context, () => {
      void context.end()
      void connection.end('disconnect')
    })
  }

  /** The scope of a session, with everything that middleware has put on the context of its connection. */
  scope({ context, source }: ClientConnection): Context {
    const from = context as Context
    const scope = this.control('CONNECT', '/', from.endpoint, source)
    const known = new Set(Object.keys(scope))
    const values = scope as unknown as Record<string, unknown>
    for (const key of Object.keys(from)) if (!known.has(key)) values[key] = (from as unknown as Record<string, unknown>)[key]
    scope['server.User'] = from['server.User']
    return scope
  }
}
