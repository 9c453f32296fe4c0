import { describe, expect, test } from 'vitest'
import { KEY, world } from './channels.ts'

const SEEDS = Array.from({ length: 20 }, (_, index) => index + 1)
const FAULTS = { loss: 0.2, duplication: 0.2, reordering: 0.3, lateness: 400, delay: [5, 60] as const }

describe('a handshake over a network that loses, repeats and reorders', () => {
  test.each([
    ['without connection ids', false],
    ['with connection ids', true]
  ])('succeeds %s, or fails within its time, and leaves nothing', async (_, cid) => {
    let complete = 0
    for (const seed of SEEDS) {
      const { open, connect, settle, network, clock } = world({ ...FAULTS, seed })
      const server = await open({ psk: { sensor: KEY }, cid }, { accept: true })
      const client = await open({ psk: { sensor: KEY }, cid })
      const peer = await connect(client).catch(error => {
        expect(error).toMatchObject({ code: 'handshake-failed' })
        return undefined
      })
      network.conditions = { ...network.conditions, loss: 0, duplication: 0, reordering: 0 }
      await settle(1000)
      if (peer !== undefined && server.opened.length > 0) {
        peer.send(Buffer.from('hello'))
        await settle(1000)
        expect(client.received.map(({ text }) => text)).toEqual(['hello'])
        complete++
      }
      await Promise.all([client.channel.close(), server.channel.close()])
      await settle(30_000)
      expect(clock.pending).toBe(0)
    }
    expect(complete).toBeGreaterThan(17)
  })

  test('sends the last flight again when the Finished of the client comes again', async () => {
    const { open, connect, network, settle } = world()
    const server = await open({ psk: { sensor: KEY } }, { accept: true })
    const client = await open({ psk: { sensor: KEY } })
    let dropped = 0
    // The first last flight of the server: ChangeCipherSpec and Finished.
    network.script = ({ bytes, from }) => (from.port === 5684 && bytes[0] === 20 && dropped++ === 0 ? 'drop' : undefined)
    await connect(client)
    await settle()
    expect(dropped).toBe(2)
    expect(server.opened).toHaveLength(1)
    const numbers = network.trace
      .filter(({ from, bytes }) => from.port === 5684 && bytes[0] === 20)
      .map(({ bytes }) => Buffer.from(bytes).readUIntBE(5, 6))
    expect(new Set(numbers).size).toBe(2)
  })

  test('retransmits after one second, then after twice the time', async () => {
    const { open, network, clock } = world()
    const client = await open({ psk: { sensor: KEY } })
    const signal = new AbortController().signal
    const connecting = client.channel.connect({ address: '127.0.0.1', port: 5684, host: 'localhost' }, signal)
    await expect(clock.runUntil(connecting)).rejects.toMatchObject({ code: 'handshake-failed' })
    expect(network.trace.map(({ time }) => time)).toEqual([0, 1000, 3000, 7000, 15_000])
    expect(clock.elapsed()).toBe(25_000)
  })
})
