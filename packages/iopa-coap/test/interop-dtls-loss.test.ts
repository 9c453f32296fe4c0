import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { App } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { dtls } from '@iopa/dtls'
import { router } from '@iopa/router'
import { expect, test } from 'vitest'
import { describeWith } from '../../../test/support/foreign-programs.ts'
import { startClient } from './peer-programs.ts'

const KEY = 'a key of libcoap'

/** A relay on loopback that loses, repeats and delays what it passes on, the same way each time. */
const relay = async (port: number) => {
  const outside = createSocket('udp4').bind(0, '127.0.0.1')
  const inside = createSocket('udp4').bind(0, '127.0.0.1')
  await Promise.all([once(outside, 'listening'), once(inside, 'listening')])
  let client = 0
  const counts = { passed: 0, lost: 0 }
  const pass = (send: () => void): void => {
    const number = ++counts.passed
    // One of seven (libcoap gives up after nine seconds), so that a flight that is repeated loses another part each time.
    if (number % 7 === 2) {
      counts.lost++
      return
    }
    if (number % 5 === 3) setTimeout(send, 30).unref()
    else send()
    if (number % 6 === 4) send()
  }
  outside.on('message', (bytes, from) => {
    client = from.port
    pass(() => inside.send(bytes, port, '127.0.0.1'))
  })
  inside.on('message', bytes => pass(() => outside.send(bytes, client, '127.0.0.1')))
  return {
    counts,
    port: (outside.address() as AddressInfo).port,
    [Symbol.dispose]: () => {
      for (const socket of [outside, inside]) {
        socket.removeAllListeners('message')
        socket.unref()
      }
    }
  }
}

for (const program of ['coap-client-openssl', 'coap-client-gnutls'])
  describeWith(program, "our server and libcoap's client over a network with faults", () => {
    test.concurrent('shake hands and exchange a request', async () => {
      const app = new App({ logger: false }).use(router()).use(coap({ port: 0, dtls: dtls({ psk: { 'sensor-1': Buffer.from(KEY) } }) }))
      app.get('/whoami', ({ user }) => `${user?.id} by ${user?.by}`)
      const [listener] = await app.listen()
      using between = await relay(Number(listener!.url.port))
      const client = startClient(program, ['-v', '6', '-B', '25', '-u', 'sensor-1', '-k', KEY, `coaps://127.0.0.1:${between.port}/whoami`])
      await client.shows(/sensor-1 by psk/, 20_000)
      client.process.kill()
      await client.done
      expect(between.counts.lost).toBeGreaterThan(1)
      await app.close({ timeout: 0 })
    }, 40_000)
  })
