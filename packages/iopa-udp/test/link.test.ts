import { virtualClock, virtualNetwork } from '@iopa/testing'
import { connect, type DatagramNetwork } from '@iopa/transport'
import { expect, test } from 'vitest'
import { udp } from '../src/index.ts'

test('a client of plain datagrams closes the socket of each request, answered or aborted', async () => {
  const clock = virtualClock()
  const inner = virtualNetwork({ clock })
  let open = 0
  let gate = Promise.resolve()
  const network: DatagramNetwork = {
    bind: async address => {
      const channel = await inner.bind(address)
      open++
      await gate
      const close = channel.close.bind(channel)
      channel.close = () => {
        open--
        return close()
      }
      return channel
    }
  }
  const peer = await inner.bind({ host: '127.0.0.1', port: 7001 })
  peer.open({ message: (bytes, address, port) => peer.send(bytes, port, address), error: () => undefined })
  const channel = await connect(udp({ framing: 'raw', network, clock }), new URL('udp://127.0.0.1:7001'), { clock })
  const answer = await clock.runUntil(channel.send({ 'iopa.Body': 'x' }))
  expect(await answer.text()).toBe('x')
  await clock.settle()
  expect(open).toBe(0)
  const abort = new AbortController()
  let release = (): void => undefined
  gate = new Promise(resolve => {
    release = resolve
  })
  const given = channel.send({ 'iopa.Body': 'y', 'iopa.CallCancelled': abort.signal })
  given.catch(() => undefined)
  await clock.settle()
  expect(open).toBe(1)
  abort.abort(new Error('enough'))
  await expect(given).rejects.toThrow('enough')
  release()
  await clock.settle()
  expect(open).toBe(0)
  await channel.close()
})
