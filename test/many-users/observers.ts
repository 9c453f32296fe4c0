import type { ByteChannel, ByteNetwork, DatagramChannel, DatagramNetwork } from '@iopa/transport'
import { generate, parse } from 'coap-packet'
import type { Ledger } from './ledger.ts'
import { tokensIn } from './tokens.ts'

/** An observer of a path over a protocol other than MQTT. */
export interface Observer {
  readonly protocol: string
  readonly user: string
  readonly topic: string
  /** The newest token that it was told; empty for none. */
  readonly last: string
  /** True once the answer said that it observes, and until that ends. */
  readonly active: boolean
  close(): void
}

/** What all have in common: tokens that may be cut in pieces. */
abstract class TextObserver implements Observer {
  abstract readonly protocol: string
  readonly user: string
  readonly topic: string
  readonly #ledger: Ledger
  readonly #since: number
  last = ''
  active = false
  #rest = ''

  constructor(ledger: Ledger, user: string, topic: string) {
    this.#ledger = ledger
    this.#since = ledger.now()
    this.user = user
    this.topic = topic
  }

  protected text(piece: string): void {
    const text = this.#rest + piece
    const end = text.lastIndexOf('\n') + 1
    this.#rest = text.slice(end)
    for (const id of tokensIn(text.slice(0, end))) {
      this.#ledger.receipts.observed(this.protocol, this.user, this.topic, id, this.#since)
      this.last = id
    }
  }

  abstract close(): void
}

/** Over a byte channel: what is written first, and what the first line of the answer says when it was accepted. */
abstract class StreamObserver extends TextObserver {
  #channel: ByteChannel | null = null
  #closed = false
  #seen = ''
  #ended = false

  constructor(ledger: Ledger, user: string, topic: string, network: ByteNetwork, port: number, request: string, accepted: RegExp) {
    super(ledger, user, topic)
    network.connect({ host: '127.0.0.1', port }).then(
      channel => {
        this.#channel = channel
        if (this.#closed) {
          channel.destroy()
          return
        }
        channel.open({
          data: chunk => {
            const piece = Buffer.from(chunk).toString('latin1')
            if (this.#seen.length < 200) {
              this.#seen += piece
              this.active ||= !this.#ended && accepted.test(this.#seen)
            }
            if (this.ends(piece)) {
              this.#ended = true
              this.active = false
            }
            this.text(piece)
          },
          end: () => channel.end(),
          drain: () => undefined,
          close: () => {
            this.active = false
          }
        })
        channel.write(request)
      },
      () => undefined
    )
  }

  /** True when the end of the observation is in what came. */
  protected abstract ends(piece: string): boolean

  close(): void {
    this.#closed = true
    this.active = false
    this.#channel?.destroy()
  }
}

export class HttpObserver extends StreamObserver {
  readonly protocol = 'http'

  constructor(ledger: Ledger, user: string, topic: string, network: ByteNetwork, port: number) {
    const head = `GET /${topic} HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n${user === '' ? '' : `x-user: ${user}\r\n`}\r\n`
    super(ledger, user, topic, network, port, head, /^HTTP\/1\.1 200[\s\S]*text\/event-stream/)
  }

  #tail = ''

  /** The last chunk of the answer: its connection stays. */
  protected override ends(piece: string): boolean {
    this.#tail = (this.#tail + piece).slice(-10)
    return this.#tail.endsWith('\r\n0\r\n\r\n')
  }
}

export class TcpObserver extends StreamObserver {
  readonly protocol = 'tcp'

  constructor(ledger: Ledger, user: string, topic: string, network: ByteNetwork, port: number) {
    const headers = user === '' ? {} : { 'iopa.Headers': { 'x-user': user } }
    const bag = { 'iopa.Method': 'GET', 'iopa.Path': `/${topic}`, 'iopa.Observe': true, 'iopa.Seq': 1, ...headers }
    super(ledger, user, topic, network, port, `${JSON.stringify(bag)}\n`, /"iopa\.StatusCode":200/)
  }

  #tail = ''

  protected override ends(piece: string): boolean {
    const text = this.#tail + piece
    this.#tail = text.slice(-30)
    return /"iopa\.StatusCode":[345]/.test(text)
  }
}

/** A CoAP endpoint with one observation; it acknowledges every notification. */
export class CoapObserver extends TextObserver {
  readonly protocol = 'coap'
  #channel: DatagramChannel | null = null
  #closed = false

  constructor(ledger: Ledger, user: string, topic: string, network: DatagramNetwork, port: number, messageId: number) {
    super(ledger, user, topic)
    network.bind({ host: '127.0.0.1', port: 0 }).then(channel => {
      this.#channel = channel
      if (this.#closed) {
        void channel.close()
        return
      }
      const send = (bytes: Buffer): void => void channel.send(bytes, port, '127.0.0.1')
      channel.open({
        message: bytes => {
          const message = parse(Buffer.from(bytes))
          if (message.code === '0.00') return
          if (message.confirmable) send(generate({ code: '0.00', ack: true, messageId: message.messageId }))
          this.active = message.code.startsWith('2.') && message.options.some(({ name }) => name === 'Observe')
          this.text(`${message.payload.toString()}\n`)
        },
        error: () => undefined
      })
      const options = [
        { name: 'Observe', value: Buffer.alloc(0) },
        ...topic.split('/').map(part => ({ name: 'Uri-Path', value: Buffer.from(part) })),
        ...(user === '' ? [] : [{ name: 'Uri-Query', value: Buffer.from(`user=${user}`) }])
      ]
      send(generate({ code: '0.01', confirmable: true, messageId, token: Buffer.from('ob'), options: options as never, payload: Buffer.alloc(0) }))
    })
  }

  close(): void {
    this.#closed = true
    this.active = false
    void this.#channel?.close()
  }
}
