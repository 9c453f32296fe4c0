import { describe, expect, test } from 'vitest'
import { KEY, world } from './channels.ts'

describe('a session with a pre-shared key', () => {
  test('carries datagrams both ways and names the user', async () => {
    const { open, connect, settle } = world()
    const server = await open({ psk: { sensor: KEY }, realm: 'house' }, { accept: true })
    const client = await open({ psk: { sensor: KEY } })
    const peer = await connect(client)
    peer.send(Buffer.from('hello'))
    await settle()
    expect(client.received.map(({ text }) => text)).toEqual(['hello'])
    expect(server.opened.map(({ user }) => user)).toEqual([{ id: 'sensor', by: 'psk', realm: 'house' }])
  })
})
