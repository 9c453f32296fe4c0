import { App } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { expect, test } from 'vitest'
import { describeWith } from '../../../test/support/foreign-programs.ts'
import { parseLinks } from '../src/formats/link-format.ts'
import { startPeerServer, tcpOnly } from './peer-server.ts'

const SERVER = 'coap-server-notls'

// Our client beside libcoap's server; our server beside libcoap's client is in the ETSI suites.
for (const scheme of ['coap', 'coap+tcp']) {
  describeWith(SERVER, `our client and libcoap's server over ${scheme}`, () => {
    const connect = async () => {
      const server = await startPeerServer(SERVER, '-d', '20')
      const way = scheme === 'coap+tcp' ? await tcpOnly(server.port) : undefined
      const app = new App({ logger: false }).use(coap())
      const dispose = async (): Promise<void> => {
        await app.close()
        await way?.[Symbol.asyncDispose]()
        await server[Symbol.asyncDispose]()
      }
      try {
        // Closing the app closes its clients.
        const client = await app.connect(`${scheme}://127.0.0.1:${way?.port ?? server.port}`)
        return { client, [Symbol.asyncDispose]: dispose }
      } catch (error) {
        await dispose()
        throw error
      }
    }

    test.concurrent('gets a resource, and 404 for one that is missing', async () => {
      await using peer = await connect()
      const answer = await peer.client.get('/')
      expect(answer.status).toBe(200)
      expect(await answer.text()).toMatch(/made with libcoap/)
      expect((await peer.client.get('/nothing')).status).toBe(404)
    })

    test.concurrent('creates, changes and deletes a resource', async () => {
      await using peer = await connect()
      expect((await peer.client.put('/made/here', 'one')).status).toBe(201)
      expect((await peer.client.put('/made/here', 'two')).status).toBe(204)
      expect(await (await peer.client.get('/made/here')).text()).toBe('two')
      expect((await peer.client.delete('/made/here')).status).toBe(204)
      expect((await peer.client.get('/made/here')).status).toBe(404)
    })

    test.concurrent('carries a body in blocks there and back', async () => {
      await using peer = await connect()
      const body = Uint8Array.from({ length: 30_000 }, (_, i) => (i * 13) % 256)
      expect((await peer.client.put('/large', body)).status).toBe(201)
      expect(Buffer.from(await (await peer.client.get('/large')).bytes()).equals(body)).toBe(true)
    })

    test.concurrent('waits for a late answer', async () => {
      await using peer = await connect()
      const started = Date.now()
      const answer = await peer.client.get('/async?1')
      expect([answer.status, await answer.text()]).toEqual([200, 'done'])
      expect(Date.now() - started).toBeGreaterThan(900)
    })

    test.concurrent('observes, and leaves', async () => {
      await using peer = await connect()
      const seen: string[] = []
      for await (const answer of peer.client.observe('/time')) {
        seen.push(await answer.text())
        if (seen.length === 3) break
      }
      expect(new Set(seen).size).toBe(3)
    })

    test.concurrent('reads what there is', async () => {
      await using peer = await connect()
      const answer = await peer.client.get('/.well-known/core')
      expect(answer.type).toBe('application/link-format')
      expect(parseLinks(await answer.text()).map(({ href }) => href)).toEqual(expect.arrayContaining(['/', '/time', '/async']))
    })
  })
}
