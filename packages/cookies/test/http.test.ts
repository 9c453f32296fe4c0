import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { App, IopaError } from '@iopa/appbuilder'
import type { OwnedContext } from '@iopa/context/host'
import { http } from '@iopa/http'
import { router } from '@iopa/router'
import { afterEach, describe, expect, test } from 'vitest'
import { cookies, memorySessions, type Session, type SessionStore, sessions } from '../src/index.ts'

const open: (() => unknown)[] = []
afterEach(async () => {
  for (const dispose of open.splice(0).reverse()) await dispose()
})

const userOf = (session: Pick<Session, 'get'>) => {
  const id = session.get<string>('user')
  return id === undefined ? undefined : { id }
}

const site = async (store: SessionStore = memorySessions()) => {
  let runs = 0
  const app = new App({ logger: false })
    .use(cookies())
    .use(sessions({ store, user: userOf }))
    .use(router())
    .use(http({ port: 0 }))
  app.post('/login/:id', context => {
    context['session.Session'].regenerate()
    context['session.Session'].set('user', context.params.id)
    return 'welcome'
  })
  app.post('/logout', context => context['session.Session'].destroy())
  app.get('/me', context => {
    if (context.user === undefined) throw new IopaError(401, 'who', 'Log in.')
    return `${context.user.id} ${++runs}`
  })
  app.get('/cookies', context => Object.keys(context['cookies.Jar'].all()).length)
  const [listener] = await app.listen()
  open.push(() => app.close({ timeout: 100 }))
  const url = listener!.url.origin
  const login = async (id: string): Promise<string> =>
    (await fetch(`${url}/login/${id}`, { method: 'POST' })).headers.get('set-cookie')!.split(';')[0] as string
  return { app, url, port: Number(listener!.url.port), login, runs: () => runs }
}

/** Sends bytes, and gives what came until `pattern` did, or the end. */
const raw = (port: number, text: string, pattern: RegExp): { readonly seen: () => string; readonly done: Promise<string> } => {
  let seen = ''
  const socket = net.connect(port, '127.0.0.1', () => socket.write(text, 'latin1'))
  open.push(() => socket.destroy())
  const done = new Promise<string>((resolve, reject) => {
    socket.on('data', chunk => {
      seen += chunk.toString('latin1')
      if (pattern.test(seen)) resolve(seen)
    })
    socket.on('close', () => resolve(seen))
    socket.on('error', reject)
  })
  return { seen: () => seen, done }
}

const get = (path: string, fields: string): string => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${fields}\r\n`

describe('over HTTP', () => {
  test.skipIf(!existsSync('/usr/bin/curl'))('curl keeps a session in its cookie jar', async () => {
    const { url } = await site()
    const folder = await mkdtemp(join(tmpdir(), 'iopa-cookies-'))
    open.push(() => rm(folder, { recursive: true }))
    const jar = join(folder, 'jar')
    const curl = async (...args: string[]) => (await promisify(execFile)('curl', ['-s', '-c', jar, '-b', jar, ...args])).stdout
    expect(await curl('-X', 'POST', `${url}/login/ann`)).toBe('welcome')
    expect(await curl(`${url}/me`)).toBe('ann 1')
    await curl('-X', 'POST', `${url}/logout`)
    expect(await curl(`${url}/me`)).toContain('"status":401')
  })

  test('an event stream hears 401 and ends when its session ends; another session of the user goes on', async () => {
    const { app, url, port, login } = await site()
    const [phone, laptop] = [await login('ann'), await login('ann')]
    const stream = (cookie: string) => raw(port, get('/me', `Accept: text/event-stream\r\nCookie: ${cookie}\r\n`), /event: error[\s\S]*\r\n0\r\n/)
    const [one, two] = [stream(phone), stream(laptop)]
    await expect.poll(() => one.seen().includes('data: ann') && two.seen().includes('data: ann')).toBe(true)
    await fetch(`${url}/logout`, { method: 'POST', headers: { cookie: phone } })
    expect(await one.done).toMatch(/event: error\ndata: .*"status":401/)
    app.notify('/me')
    await expect.poll(() => two.seen().match(/data: ann/g)?.length).toBe(2)
    expect(two.seen()).not.toContain('event: error')
  })

  test('1,000 observers of one user share one run', async () => {
    const { app, login, runs } = await site()
    const cookie = [await login('ann'), await login('ann')]
    const host = app.host('http')
    const endpoint = {
      scheme: 'http',
      protocol: 'HTTP/1.1',
      remoteAddress: '10.0.0.1',
      remotePort: 1,
      localAddress: '127.0.0.1',
      localPort: 80,
      tls: false,
      sessionId: 's',
      rawTransport: null,
      bodyLimit: 1000
    }
    let told = 0
    for (let at = 0; at < 1000; at++) {
      const source = { headers: () => ['cookie', cookie[at % 2] as string], authority: () => 'localhost' }
      const context = host.create({ method: 'GET', path: '/me', query: '', rawPath: '/me', endpoint, source }) as OwnedContext
      context['iopa.Observe'] = true
      await host.observe(context, async () => void told++)
    }
    const before = runs()
    app.notify('/me')
    await expect.poll(() => told).toBe(2000)
    expect(runs() - before).toBe(1)
  })

  test.each([
    ['a cookie of 4 KB', `Cookie: a=${'x'.repeat(4090)}\r\n`, 200, '1'],
    ['1,000 cookies', `Cookie: ${Array.from({ length: 1000 }, (_, at) => `n${at}=1`).join('; ')}\r\n`, 200, '1000'],
    ['one name many times', `Cookie: ${Array.from({ length: 1000 }, () => 'a=1').join('; ')}\r\n`, 200, '1'],
    ['several fields', 'Cookie: a=1\r\nCookie: b=2\r\n', 200, '2'],
    ['__proto__', 'Cookie: __proto__=1; constructor=2\r\n', 200, '2'],
    ['bytes that are no text', 'Cookie: a=\xff\xfe\r\n', 200, '1'],
    ['more than the head may have', `Cookie: a=${'x'.repeat(20_000)}\r\n`, 431, ''],
    ['NUL', 'Cookie: a=\0\r\n', 400, '']
  ])('%s is answered', async (_, fields, status, text) => {
    const { port } = await site()
    const answer = await raw(port, get('/cookies', `${fields}Connection: close\r\n`), /\r\n\r\n[\s\S]+/).done
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
    if (status === 200) expect(answer.endsWith(text)).toBe(true)
  })
})
