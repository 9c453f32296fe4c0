import { App, type Limits } from '@iopa/appbuilder'
import { type CoapOptions, coap } from '@iopa/coap'
import { type Routes, router } from '@iopa/router'
import { type VirtualClock, type VirtualNetwork, virtualClock, virtualNetwork } from '@iopa/testing'
import type { DatagramChannel } from '@iopa/transport'
import { CODE, formatCode } from '../src/codec/codes.ts'
import { decode, encodeEmpty } from '../src/codec/datagram-codec.ts'
import { type ReceivedMessage, TYPE } from '../src/codec/message.ts'
import { OPTION } from '../src/codec/option-registry.ts'
import { type RawRequest, rawRequest } from './raw-peer.ts'

export const block = (num: number, more: boolean, szx = 6): number => (num << 4) | (more ? 8 : 0) | szx

/** A block of 1,024 bytes, or of so many, that shows its number. */
export const piece = (num: number, length = 1024): Uint8Array => new Uint8Array(length).fill(num)

/** A peer that sends blocks by hand. It acknowledges separate responses. */
export class Uploader {
  readonly inbox: ReceivedMessage[] = []
  readonly #channel: DatagramChannel
  readonly #clock: VirtualClock

  constructor(channel: DatagramChannel, clock: VirtualClock) {
    this.#channel = channel
    this.#clock = clock
    channel.open({
      message: bytes => {
        const message = decode(bytes) as ReceivedMessage
        this.inbox.push(message)
        if (message.type === TYPE.CON) this.send(encodeEmpty(TYPE.ACK, message.id))
      },
      error: () => undefined
    })
  }

  /** The codes of everything that has come, in order. */
  get codes(): string[] {
    return this.inbox.map(({ code }) => formatCode(code))
  }

  send(bytes: Uint8Array): void {
    this.#channel.send(bytes, 5683, '10.0.0.1')
  }

  /** Sends a block of a PUT without waiting. */
  post(path: string, num: number, more: boolean, { options = [], szx = 6, ...request }: RawRequest & { readonly szx?: number } = {}): void {
    const all = [[OPTION.BLOCK1, block(num, more, szx)] as const, ...options]
    this.send(rawRequest(CODE.PUT, { path, payload: piece(num, more ? 16 << szx : 10), ...request, options: all }))
  }

  /** The code of the response to a block of a PUT. */
  async put(path: string, num: number, more: boolean, request: RawRequest & { readonly szx?: number } = {}): Promise<string> {
    const before = this.inbox.length
    this.post(path, num, more, request)
    await this.#clock.runUntil(() => this.inbox.slice(before).some(({ code }) => code !== 0))
    return formatCode(this.inbox.at(-1)!.code)
  }
}

/** A server at 10.0.0.1 that reads bodies of more than 2,048 bytes while they arrive. */
export interface UploadHome extends AsyncDisposable {
  readonly app: App & Routes
  readonly clock: VirtualClock
  readonly network: VirtualNetwork
  uploader(address?: string): Promise<Uploader>
  listen(): Promise<void>
}

export function uploadHome(limits: Partial<Limits> = {}, options: CoapOptions = {}, seed = 1): UploadHome {
  const clock = virtualClock()
  const network = virtualNetwork({ clock, seed })
  const app = new App({ logger: false, clock }).use(router()).use(
    coap({
      host: '10.0.0.1',
      allowUnauthenticated: true,
      amplification: false,
      collectUpTo: 2048,
      limits: { body: 64 * 1024, ...limits },
      network: network.machine('10.0.0.1'),
      ...options
    })
  )
  return {
    app,
    clock,
    network,
    uploader: async (address = '10.0.0.2') => new Uploader(await network.machine(address).bind({ host: address, port: 0 }), clock),
    listen: async () => void (await app.listen()),
    [Symbol.asyncDispose]: () => clock.runUntil(app.close({ timeout: 0 }))
  }
}

/** Size1 of a body that is large enough to be read while it arrives. */
export const ANNOUNCED: readonly [number, number] = [OPTION.SIZE1, 10_000]
