import { App } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { Agent, createServer, type IncomingMessage, type OptionValue, type Server } from 'coap'
import { describe, expect, test } from 'vitest'
import { LARGE, startEtsi } from './etsi-app.ts'

/** What node-coap's client has received. */
interface Received {
  readonly code: string
  readonly text: string
  readonly message: IncomingMessage
}

const read = (message: IncomingMessage): Promise<Received> =>
  new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    message.on('data', (chunk: Buffer) => chunks.push(chunk))
    message.on('end', () => resolve({ code: message.code, text: Buffer.concat(chunks).toString(), message }))
    message.on('error', reject)
  })

const ask = (
  port: number,
  method: 'GET' | 'PUT' | 'POST' | 'DELETE',
  path: string,
  body = '',
  options: Record<string, OptionValue> = {}
): Promise<Received> =>
  new Promise((resolve, reject) => {
    const agent = new Agent({ type: 'udp4' })
    const [pathname, query = ''] = path.split('?')
    const request = agent.request({ hostname: '127.0.0.1', port, method, pathname: pathname!, query, options })
    request.on('response', (message: IncomingMessage) => {
      read(message)
        .then(resolve, reject)
        .finally(() => agent.close())
    })
    request.on('error', reject)
    request.on('timeout', reject)
    request.end(body)
  })

describe('node-coap as client of our server', () => {
  test('gets, puts, posts and deletes', async () => {
    await using server = await startEtsi()
    expect(await ask(server.port, 'GET', '/test')).toMatchObject({ code: '2.05', text: 'test' })
    expect(await ask(server.port, 'PUT', '/test', 'x')).toMatchObject({ code: '2.04' })
    expect(await ask(server.port, 'POST', '/test', 'x')).toMatchObject({ code: '2.01' })
    expect(await ask(server.port, 'DELETE', '/test')).toMatchObject({ code: '2.02' })
    expect(await ask(server.port, 'GET', '/nowhere')).toMatchObject({ code: '4.04' })
    expect(await ask(server.port, 'GET', '/query?a=1&b=2')).toMatchObject({ text: 'a=1 b=2' })
  })

  test('reads formats and waits for late answers', async () => {
    await using server = await startEtsi()
    const { message } = await ask(server.port, 'GET', '/json')
    expect(message.headers['Content-Format']).toBe('application/json')
    expect(await ask(server.port, 'GET', '/separate')).toMatchObject({ code: '2.05', text: 'separate' })
    expect(server.calls.get('GET /separate')).toBe(1)
  })

  test('receives and sends bodies in blocks', async () => {
    await using server = await startEtsi()
    expect((await ask(server.port, 'GET', '/large')).text).toBe(LARGE)
    expect(await ask(server.port, 'PUT', '/large-update', LARGE, { Block1: Buffer.of(0x06) })).toMatchObject({ code: '2.04' })
    expect(server.bodies.get('/large-update')).toBe(LARGE)
  })

  test('observes until it closes', async () => {
    await using server = await startEtsi()
    const agent = new Agent({ type: 'udp4' })
    const seen: string[] = []
    const three = new Promise<void>((resolve, reject) => {
      const request = agent.request({ hostname: '127.0.0.1', port: server.port, pathname: '/obs', observe: true })
      request.on('error', reject)
      request.on('response', message => {
        message.on('data', (chunk: Buffer) => {
          seen.push(chunk.toString())
          if (seen.length < 3) server.setObserved(`obs ${seen.length}`)
          else {
            message.close()
            resolve()
          }
        })
      })
      request.end()
    })
    await three
    agent.close()
    expect(seen).toEqual(['obs 0', 'obs 1', 'obs 2'])
  })
})

describe('our client of a node-coap server', () => {
  const serve = async (handler: (request: IncomingMessage, response: Parameters<Parameters<Server['on']>[1]>[1]) => void) => {
    const server = createServer({ type: 'udp4' })
    server.on('request', handler)
    const port = await new Promise<number>((resolve, reject) => {
      server.listen(0, '127.0.0.1', (error?: Error) =>
        error ? reject(error) : resolve((server as unknown as { _sock: { address(): { port: number } } })._sock.address().port)
      )
    })
    const app = new App({ logger: false }).use(coap())
    const client = await app.connect(`coap://127.0.0.1:${port}`)
    return {
      client,
      async [Symbol.asyncDispose]() {
        await client.close()
        await app.close()
        await new Promise<void>(resolve => server.close(() => resolve()))
      }
    }
  }

  test('gets, puts and sees errors', async () => {
    await using peer = await serve((request, response) => {
      if (request.url === '/missing') response.code = '4.04'
      response.end(`${request.method} ${request.url} ${request.payload}`)
    })
    expect(await (await peer.client.get('/a/b?c=d')).text()).toBe('GET /a/b?c=d ')
    expect(await (await peer.client.put('/a', 'body')).text()).toBe('PUT /a body')
    expect((await peer.client.get('/missing')).status).toBe(404)
  })

  test('receives a body in blocks', async () => {
    await using peer = await serve((_, response) => response.end(LARGE))
    expect(await (await peer.client.get('/large')).text()).toBe(LARGE)
  })

  test('waits for a late answer', async () => {
    await using peer = await serve((_, response) => {
      setTimeout(() => response.end('late'), 300)
    })
    expect(await (await peer.client.get('/late')).text()).toBe('late')
  })

  test('observes', async () => {
    // node-coap goes on writing to an observer that has left, and would do so to a socket that is closed.
    const timers: NodeJS.Timeout[] = []
    await using peer = await serve((request, response) => {
      if (request.headers['Observe'] !== 0) {
        response.end('plain')
        return
      }
      let count = 0
      timers.push(setInterval(() => response.write(`state ${++count}`), 50))
      response.write('state 0')
    })
    const seen: string[] = []
    for await (const answer of peer.client.observe('/state')) {
      seen.push(await answer.text())
      if (seen.length === 3) break
    }
    for (const timer of timers) clearInterval(timer)
    expect(seen).toEqual(['state 0', 'state 1', 'state 2'])
  })
})
