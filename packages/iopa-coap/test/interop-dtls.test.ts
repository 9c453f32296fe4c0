import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { App, reply } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { dtls } from '@iopa/dtls'
import { router } from '@iopa/router'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeWith } from '../../../test/support/foreign-programs.ts'
import { runClient, startClient } from './peer-programs.ts'
import { startPeerServer } from './peer-server.ts'

const KEY = 'a key of libcoap'
let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'iopa-coaps-'))
})
afterAll(() => rm(folder, { recursive: true }))

const serve = async () => {
  let state = 'state 0'
  const bodies: number[] = []
  const app = new App({ logger: false }).use(router()).use(coap({ port: 0, dtls: dtls({ psk: { 'sensor-1': Buffer.from(KEY) } }) }))
  app.get('/whoami', ({ user }) => `${user?.id} by ${user?.by}`)
  app.get('/large', () => 'x'.repeat(30_000))
  app.get('/state', () => reply(200, state, { 'cache-control': 'max-age=100' }))
  app.put('/body', async context => {
    bodies.push((await context.bytes()).length)
  })
  const [listener] = await app.listen()
  return {
    app,
    bodies,
    url: listener!.url.href,
    setState: (value: string) => {
      state = value
      app.notify('/state')
    },
    [Symbol.asyncDispose]: () => app.close({ timeout: 0 })
  }
}

for (const program of ['coap-client-openssl', 'coap-client-gnutls'])
  describeWith(program, "our server and libcoap's client over DTLS", () => {
    const key = ['-u', 'sensor-1', '-k', KEY]

    test.concurrent('names the user of a key', async () => {
      await using own = await serve()
      const { received } = await runClient(program, ...key, `${own.url}/whoami`)
      expect(received.map(({ code, payload }) => [code, payload])).toContainEqual(['2.05', 'sensor-1 by psk'])
    })

    test.concurrent('sends 30 KB in blocks, and takes 200 KB', async () => {
      await using own = await serve()
      const [out, body] = [join(folder, `${program}-large`), join(folder, `${program}-body`)]
      await startClient(program, ['-B', '10', ...key, '-o', out, `${own.url}/large`]).done
      expect((await readFile(out)).length).toBe(30_000)
      await writeFile(body, Buffer.alloc(200_000, 7))
      await startClient(program, ['-B', '20', ...key, '-m', 'put', '-f', body, `${own.url}/body`]).done
      expect(own.bodies).toEqual([200_000])
    }, 40_000)

    test.concurrent('notifies an observer', async () => {
      await using own = await serve()
      const client = startClient(program, ['-v', '6', '-B', '10', '-s', '10', ...key, `${own.url}/state`])
      await client.shows(/state 0/)
      own.setState('state 1')
      await client.shows(/state 1/)
      client.process.kill()
      await client.done
    })

    test.concurrent.each([
      ['a wrong key', ['-u', 'sensor-1', '-k', 'another key']],
      ['an identity that is unknown', ['-u', 'sensor-2', '-k', KEY]]
    ])('refuses %s', async (_, wrong) => {
      await using own = await serve()
      const { text } = await startClient(program, ['-v', '6', '-B', '1', ...wrong, `${own.url}/whoami`]).done
      expect(text).not.toContain('2.05')
      expect(own.app.counters().coap).toMatchObject({ connections: 0 })
    })
  })

for (const program of ['coap-server-openssl', 'coap-server-gnutls'])
  describeWith(program, "our client and libcoap's server over DTLS", () => {
    const connect = async (key: string) => {
      const server = await startPeerServer(program, '-d', '20', '-k', KEY, '-h', 'CoAP')
      const app = new App({ logger: false }).use(coap({ dtls: dtls({ psk: { 'sensor-1': Buffer.from(key) } }) }))
      const dispose = async (): Promise<void> => {
        await app.close({ timeout: 0 })
        await server[Symbol.asyncDispose]()
      }
      return { app, url: `coaps://127.0.0.1:${server.port + 1}`, [Symbol.asyncDispose]: dispose }
    }

    test.concurrent('gets, puts 30 KB and gets it back, and observes', async () => {
      await using peer = await connect(KEY)
      const client = await peer.app.connect(peer.url)
      expect(await (await client.get('/')).text()).toMatch(/made with libcoap/)
      const body = Uint8Array.from({ length: 30_000 }, (_, i) => (i * 13) % 256)
      expect((await client.put('/large', body)).status).toBe(201)
      expect(Buffer.from(await (await client.get('/large')).bytes()).equals(body)).toBe(true)
      const seen: string[] = []
      for await (const answer of client.observe('/time')) {
        seen.push(await answer.text())
        if (seen.length === 2) break
      }
      expect(new Set(seen).size).toBe(2)
    })

    test.concurrent('has no link with another key', async () => {
      await using peer = await connect('another key')
      await expect(peer.app.connect(peer.url, { timeout: 1500 })).rejects.toMatchObject({ name: 'IopaError' })
    })
  })
