import { expect } from 'vitest'
import { formatCode } from '../src/codec/codes.ts'
import type { Message } from '../src/codec/message.ts'
import { startEtsi } from './etsi-app.ts'
import { RawPeer } from './raw-peer.ts'

export const code = (message: Message): string => formatCode(message.code)
export const kind = (message: Message): string => `${['CON', 'NON', 'ACK', 'RST'][message.type]} ${code(message)}`
export const text = (message: Message): string => Buffer.from(message.payload).toString()
export const block = (num: number, more: boolean, szx: number): number => (num << 4) | (more ? 8 : 0) | szx

export const withServer =
  (test: (peer: RawPeer, server: Awaited<ReturnType<typeof startEtsi>>) => Promise<void>, options: Parameters<typeof startEtsi>[0] = {}) =>
  async (): Promise<void> => {
    await using server = await startEtsi(options)
    const peer = await RawPeer.to(server.port)
    try {
      await test(peer, server)
      expect(server.app.live).toBe(0)
    } finally {
      peer.close()
    }
  }
