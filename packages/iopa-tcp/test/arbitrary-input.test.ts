import { execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import type net from 'node:net'
import { App, type Context } from '@iopa/appbuilder'
import { virtualClock, virtualNetwork } from '@iopa/testing'
import { connect } from '@iopa/transport'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { tcp } from '../src/index.ts'
import { atEnd, dial, eventually, get, put, serve } from './support.ts'

const later = (ms: number, value?: unknown): Promise<unknown> => new Promise(resolve => setTimeout(() => resolve(value), ms))

describe('opened and dropped connections', () => {
  // All of the ten thousand need a limit of open files of more than twice as many: both ends are in this process.
  const count = Number(process.env['IOPA_CONNECTIONS'] ?? 1000)

  test(`leave nothing behind: ${count} idle ones`, async () => {
    const { port, app } = await serve(() => 'x')
    const sockets: net.Socket[] = []
    for (let opened = 0; opened < count; opened += 100) {
      sockets.push(...(await Promise.all(Array.from({ length: Math.min(100, count - opened) }, async () => (await dial(port)).socket))))
    }
    await eventually(() => app.live === count)
    for (const [i, socket] of sockets.entries()) {
      if (i % 2) socket.destroy()
      else socket.resetAndDestroy()
    }
    await eventually(() => app.live === 0)
    const peer = await dial(port)
    peer.send(get('/'))
    expect((await peer.answers(1))[0]).toMatchObject({ 'iopa.StatusCode': 200 })
  }, 60_000)
})

describe('arbitrary input', () => {
  test('as lines is answered line by line, and nothing throws', async () => {
    const { port, app, errors } = await serve(context => context.path)
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ minLength: 1, maxLength: 60 }), { minLength: 1, maxLength: 10 }), async lines => {
        const peer = await dial(port)
        for (const line of lines) {
          // Neither the end of a line, nor the beginning of a TLS handshake.
          peer.write(line.map(byte => (byte === 10 || byte === 13 || byte === 22 ? 120 : byte)))
          peer.write('\n')
        }
        const answers = await peer.answers(lines.length)
        peer.socket.destroy()
        expect(answers.map(answer => answer['iopa.StatusCode'])).toEqual(lines.map(() => 400))
      }),
      { numRuns: 30 }
    )
    await eventually(() => app.live === 0)
    expect(errors).toEqual([])
  })

  test('in a session of frames gets an answer or a close', async () => {
    const { port, app, errors } = await serve(
      async (context: Context) =>
        createHash('sha1')
          .update(await context.bytes())
          .digest('hex'),
      {
        framing: 'lengthPrefixed',
        limits: { body: 1000, requestTimeout: 100, idleTimeout: 100 }
      }
    )
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 2000 }), async bytes => {
        const peer = await dial(port)
        peer.socket.end(bytes)
        await peer.until(() => peer.ended || peer.closed)
        peer.socket.destroy()
      }),
      { numRuns: 30 }
    )
    await eventually(() => app.live === 0)
    expect(errors).toEqual([])
  })
})

describe('on a network that splits and joins at random', () => {
  const world = async (seed: number, options: Parameters<typeof tcp>[0] = {}) => {
    const clock = virtualClock()
    const network = virtualNetwork({ clock, seed, splitting: 7, coalescing: 0.5, delay: [1, 20], window: 512 })
    const state = { level: 0 }
    const app = new App({ logger: false, clock }).use(tcp({ port: 7000, network, ...options })).use(async (context: Context) => {
      if (context.method === 'PUT') {
        state.level = ((await context.json()) as { level: number }).level
        return undefined
      }
      return context.path === '/level' ? { ...state } : context.path
    })
    await app.listen()
    const channel = await clock.runUntil(connect(tcp({ network }), 'tcp://127.0.0.1:7000', { clock }))
    return { clock, app, channel, state }
  }

  test('every request gets its answer', async () => {
    for (const seed of [1, 2, 3, 4, 5]) {
      const { clock, app, channel } = await world(seed)
      const texts = await clock.runUntil(
        Promise.all(Array.from({ length: 100 }, async (_, i) => (await channel.send({ 'iopa.Path': `/${i}` })).text()))
      )
      expect(texts).toEqual(Array.from({ length: 100 }, (_, i) => `/${i}`))
      await clock.runUntil(channel.close())
      await clock.runUntil(app.close())
      expect(app.live).toBe(0)
    }
  })

  test('an observer gets the last change', async () => {
    for (const seed of [1, 2, 3]) {
      const { clock, app, channel } = await world(seed)
      const levels: number[] = []
      const observed = (async () => {
        for await (const answer of channel.observe({ 'iopa.Path': '/level' })) {
          levels.push(((await answer.json()) as { level: number }).level)
          if (levels.at(-1) === 20) return
        }
      })()
      for (let level = 1; level <= 20; level++)
        await clock.runUntil(channel.send({ 'iopa.Method': 'PUT', 'iopa.Path': '/level', 'iopa.Body': { level } }))
      await clock.runUntil(observed)
      expect(levels).toEqual([...levels].sort((a, b) => a - b))
      await clock.runUntil(channel.close())
      await clock.runUntil(app.close())
      expect(app.live).toBe(0)
    }
  })

  test('idle connections end after the idle time', async () => {
    const { clock, app } = await world(1, { limits: { idleTimeout: 60_000 } })
    expect(app.live).toBe(1)
    await clock.advance(120_000)
    expect(app.live).toBe(0)
    await clock.runUntil(app.close())
    expect(clock.pending).toBe(0)
  })
})

const hasNetcat = await new Promise<boolean>(resolve => {
  execFile('nc', ['-h'], (_, stdout, stderr) => resolve(/OpenBSD|-N/.test(stdout + stderr)))
})
if (!hasNetcat && process.env['IOPA_REQUIRE_PEERS']) throw new Error('nc (netcat-openbsd) is missing; apt-get install netcat-openbsd')

describe.skipIf(!hasNetcat)('netcat', () => {
  const netcat = (port: number, input: string, ...args: string[]): Promise<string> =>
    new Promise(resolve => {
      const child = spawn('nc', [...args, '127.0.0.1', String(port)], { stdio: ['pipe', 'pipe', 'ignore'] })
      atEnd(() => child.kill())
      let output = ''
      child.stdout.on('data', chunk => {
        output += chunk
      })
      child.on('close', () => resolve(output))
      child.stdin.end(input)
    })

  test('-N gets the answers to all its requests', async () => {
    const { port, app } = await serve(context => later(20, context.path))
    const output = await netcat(port, `${JSON.stringify(get('/a'))}\n${JSON.stringify(get('/b'))}`, '-N')
    expect(
      output
        .trim()
        .split('\n')
        .map(line => JSON.parse(line)['iopa.Body'])
    ).toEqual(['/a', '/b'])
    await eventually(() => app.live === 0)
  })

  test('-N gets changes after it has ended its side', async () => {
    let level = 0
    const { port, app } = await serve(async (context: Context) => {
      if (context.method === 'PUT') {
        level = (await context.json()) as number
        return undefined
      }
      return { level }
    })
    const child = spawn('nc', ['-N', '127.0.0.1', String(port)], { stdio: ['pipe', 'pipe', 'ignore'] })
    atEnd(() => child.kill())
    let output = ''
    child.stdout.on('data', chunk => {
      output += chunk
    })
    child.stdin.end(`${JSON.stringify(get('/level', 1, { 'iopa.Observe': true }))}\n`)
    await eventually(() => output.includes('"level":0'))
    const peer = await dial(port)
    peer.send(put('/level', 7))
    await eventually(() => output.includes('"level":7'))
    for (const line of output.trim().split('\n')) expect(JSON.parse(line)).toMatchObject({ 'iopa.Seq': 1 })
    child.kill()
    await new Promise(resolve => child.once('close', resolve))
    // Nothing tells of a peer that had finished sending before; the second write to it does.
    await eventually(() => {
      peer.send(put('/level', level + 1))
      return app.live === 1
    })
  })

  test('can be used by hand, line by line', async () => {
    const { port } = await serve(async (context: Context) => `you said ${await context.text()}`, { framing: 'lines' })
    expect(await netcat(port, 'hello\n', '-N')).toBe('you said hello\n')
  })
})
