// What one address takes from others: places for sessions and handshakes, and processor time.
import { describe, expect, test } from 'vitest'
import type { DtlsOptions } from '../src/index.ts'
import { KEY, type OpenChannel, type World, world } from './channels.ts'

const SERVER = { address: '127.0.0.1', port: 5684 }
const OPTIONS: DtlsOptions = { psk: { sensor: KEY } }

/** Opens a session from a machine; undefined where the server has refused it. */
const sessionFrom = async ({ open, clock, settle }: World, machine: string): Promise<OpenChannel> => {
  const client = await open(OPTIONS, { machine })
  await clock.runUntil(client.channel.connect({ ...SERVER, host: 'localhost' }, new AbortController().signal))
  await settle()
  return client
}

describe('an address with its whole share of sessions', () => {
  test('ends no idle session of another address by opening more', async () => {
    const created = world()
    const server = await created.open(OPTIONS, { accept: true, limits: { connections: 100, connectionsPerAddress: 2, idleTimeout: 10_000 } })
    await sessionFrom(created, '10.0.0.1')
    await created.settle(30_000)
    for (let count = 0; count < 4; count++) await sessionFrom(created, '10.0.0.2')
    expect([server.closed, server.refused]).toEqual([[], ['too-many-connections', 'too-many-connections']])
  })

  test('gets the place of one of its own that is idle', async () => {
    const created = world()
    const server = await created.open(OPTIONS, { accept: true, limits: { connections: 100, connectionsPerAddress: 2, idleTimeout: 10_000 } })
    await sessionFrom(created, '10.0.0.1')
    for (let count = 0; count < 2; count++) await sessionFrom(created, '10.0.0.2')
    await created.settle(30_000)
    await sessionFrom(created, '10.0.0.2')
    expect(server.closed).toEqual([{ peer: server.opened[1], reason: 'idle' }])
    expect(server.refused).toEqual([])
  })
})
