import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { App } from '@iopa/appbuilder'
import { http } from '@iopa/http'
import { virtualClock } from '@iopa/testing'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type FormsOptions, forms } from '../src/index.ts'
import { field, file, multipartText, post } from './multipart-text.ts'

let root = ''
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'forms-'))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

const toDisk = (limits?: FormsOptions['limits']): FormsOptions => ({
  files: { directory: join(root, 'uploads') },
  ...(limits === undefined ? {} : { limits })
})
const left = (): string[] => (existsSync(join(root, 'uploads')) ? readdirSync(join(root, 'uploads')) : [])

/** Turns of the event loop in which a source without a brake gives all that it has. */
const idle = async (): Promise<void> => {
  for (let turn = 0; turn < 500; turn++) await new Promise(resolve => setImmediate(resolve))
}

/** The first bytes of a body, and then silence until `more` is called. */
const stalled = (text: string) => {
  let more = (_: string | null): void => undefined
  const next = new Promise<string | null>(resolve => {
    more = resolve
  })
  const body = (async function* () {
    yield Buffer.from(text)
    const rest = await next
    if (rest === null) throw new Error('aborted')
    yield Buffer.from(rest)
  })()
  return { body, more: (rest: string | null) => more(rest) }
}

test('writes files under random names, readable by their owner alone, and removes them with the request', async () => {
  const app = new App().use(forms(toDisk())).use(async context => {
    const { files } = await context['forms.Form'].read()
    const [first] = files
    return { ours: left(), path: first!.path, text: readFileSync(first!.path, 'utf8'), mode: statSync(first!.path).mode & 0o777, size: first!.size }
  })
  const answer = (await (await app.invoke(post(multipartText([file('a', '../../x.txt', 'hello')])))).json()) as { ours: string[]; path: string }
  expect(answer).toMatchObject({ text: 'hello', mode: 0o600, size: 5 })
  expect(answer.ours).toEqual([expect.stringMatching(/^[0-9a-f-]{36}$/)])
  expect(answer.path).toBe(join(root, 'uploads', answer.ours[0]!))
  await expect.poll(left).toEqual([])
  expect(readdirSync(root)).toEqual(['uploads'])
})

test('keeps a file that was moved', async () => {
  const target = join(root, 'kept.txt')
  const app = new App().use(forms(toDisk())).use(async context => {
    const form = await context['forms.Form'].read()
    await form.file('a')?.moveTo(target)
    return form.file('a')?.path
  })
  const body = multipartText([file('a', 'a.txt', 'one'), file('b', 'b.txt', 'two')])
  expect(await (await app.invoke(post(body))).text()).toBe(target)
  await expect.poll(left).toEqual([])
  expect(readFileSync(target, 'utf8')).toBe('one')
})

test.each<[string, FormsOptions['limits'], string]>([
  ['a file is too large', { fileSize: 10 }, multipartText([file('a', 'a', 'x'), file('b', 'b', 'x'.repeat(100_000))])],
  ['there are too many files', { files: 1 }, multipartText([file('a', 'a', 'x'), file('b', 'b', 'x')])],
  ['the form is cut off', undefined, multipartText([file('a', 'a', 'x'), file('b', 'b', 'x'.repeat(1000))], '').slice(0, -300)],
  ['a later field is too large', { fieldSize: 1 }, multipartText([file('a', 'a', 'x'), field('b', '12')])]
])('leaves no file behind when %s', async (_, limits, body) => {
  const app = new App().use(forms(toDisk(limits))).use(async context => {
    // Before the request ends: a handler may go on for long.
    await context['forms.Form'].read().catch(() => undefined)
    return left()
  })
  expect(await (await app.invoke(post(body))).json()).toEqual([])
})

test('leaves no file behind when the handler fails', async () => {
  const app = new App({ logger: false }).use(forms(toDisk())).use(async context => {
    await context['forms.Form'].read()
    throw new Error('handler')
  })
  expect((await app.invoke(post(multipartText([file('a', 'a', 'x')])))).status).toBe(500)
  await expect.poll(left).toEqual([])
})

test('leaves no file behind when the body fails', async () => {
  const app = new App().use(forms(toDisk())).use(async context => {
    const failure = await context['forms.Form'].read().catch((error: Error) => error.message)
    return { failure, left: left() }
  })
  const { body, more } = stalled(multipartText([file('a', 'a', 'x'.repeat(100_000))], '').slice(0, -4))
  const answer = app.invoke(post(body))
  await expect.poll(left).toHaveLength(1)
  more(null)
  expect(await (await answer).json()).toEqual({ failure: 'aborted', left: [] })
})

test('refuses a directory that cannot be made with 500', async () => {
  const app = new App({ logger: false })
    .use(forms({ files: { directory: '/dev/null/x' } }))
    .use(async context => (await context['forms.Form'].read()).files.length)
  expect((await app.invoke(post(multipartText([file('a', 'a', 'x')])))).status).toBe(500)
})

test('gives a handler each file as it arrives, and its value to the form', async () => {
  const seen: string[] = []
  const options: FormsOptions = {
    files: async (incoming, context) => {
      seen.push(`${incoming.field} ${incoming.name} ${incoming.type} ${context.method}`)
      let bytes = 0
      for await (const chunk of incoming.stream) bytes += (chunk as Uint8Array).length
      return bytes
    }
  }
  const app = new App().use(forms(options)).use(async context => (await context['forms.Form'].read()).files.map(({ value, size }) => [value, size]))
  const body = multipartText([file('a', 'a.txt', 'x'.repeat(300_000)), file('b', 'b.txt', 'yy')])
  expect(await (await app.invoke(post(body))).json()).toEqual([
    [300_000, 300_000],
    [2, 2]
  ])
  expect(seen).toEqual(['a a.txt text/plain POST', 'b b.txt text/plain POST'])
})

test('goes on when a handler leaves bytes', async () => {
  const app = new App()
    .use(forms({ files: () => 'skipped' }))
    .use(async context => (await context['forms.Form'].read()).files.map(({ value, size }) => [value, size]))
  const body = multipartText([file('a', 'a.txt', 'x'.repeat(300_000)), file('b', 'b.txt', 'yy')])
  expect(await (await app.invoke(post(body))).json()).toEqual([
    ['skipped', 300_000],
    ['skipped', 2]
  ])
})

test.each<[string, FormsOptions['files']]>([
  [
    'breaks out of its loop',
    async ({ stream }) => {
      for await (const _ of stream) break
      return 'left'
    }
  ],
  ['destroys the stream', ({ stream }) => (stream.destroy(), 'left')],
  ['destroys the stream and goes on', async ({ stream }) => (stream.destroy(), await new Promise(setImmediate), 'left')],
  ['reads to the end', async ({ stream }) => ((await stream.toArray()).length > 0 ? 'left' : 'none')]
])('goes on when a handler %s', async (_, files) => {
  const app = new App().use(forms({ files: files! })).use(async context => {
    const form = await context['forms.Form'].read()
    return [form.fields.get('b'), ...form.files.map(({ value, size }) => [value, size])]
  })
  const body = multipartText([file('a', 'a.txt', 'x'.repeat(300_000)), field('b', '1'), file('c', 'c.txt', 'yy')])
  expect(await (await app.invoke(post(body))).json()).toEqual(['1', ['left', 300_000], ['left', 2]])
})

test('says that a file which a handler has taken cannot be moved', async () => {
  const app = new App().use(forms({ files: () => undefined })).use(async context => {
    const { files } = await context['forms.Form'].read()
    return files[0]!.moveTo(join(root, 'x')).catch((error: { code: string }) => error.code)
  })
  expect(await (await app.invoke(post(multipartText([file('a', 'a', 'x')])))).text()).toBe('file-not-on-disk')
})

// Linux has a second file system there.
test.skipIf(!existsSync('/dev/shm'))('moves a file to another file system whole, and never through a link', async () => {
  const other = mkdtempSync('/dev/shm/forms-')
  try {
    writeFileSync(join(other, 'victim'), 'old')
    symlinkSync(join(other, 'victim'), join(other, 'link'))
    const app = new App({ logger: false }).use(forms(toDisk())).use(async context => {
      const { files } = await context['forms.Form'].read()
      await files[0]!.moveTo(join(other, 'link'))
      await files[1]!.moveTo(other)
    })
    expect((await app.invoke(post(multipartText([file('a', 'a', 'new'), file('b', 'b', 'new')])))).status).toBe(500)
    expect(['victim', 'link'].map(name => readFileSync(join(other, name), 'utf8'))).toEqual(['old', 'new'])
    expect([readdirSync(other).sort(), left()]).toEqual([['link', 'victim'], []])
  } finally {
    rmSync(other, { recursive: true, force: true })
  }
})

test('answers with the error of a handler, at once', async () => {
  const refuse: FormsOptions['files'] = () =>
    Promise.reject(Object.assign(new Error('no'), { name: 'IopaError', status: 422, code: 'no-virus', detail: 'no' }))
  const app = new App().use(forms({ files: refuse })).use(async context => (await context['forms.Form'].read()).files.length)
  const { body } = stalled(multipartText([file('a', 'a', 'x'.repeat(1000))], '').slice(0, -4))
  expect((await app.invoke(post(body))).status).toBe(422)
})

test('reads no faster than the handler', async () => {
  let sent = 0
  let resume = (): void => undefined
  const options: FormsOptions = {
    files: async ({ stream }) => {
      await new Promise<void>(resolve => {
        resume = resolve
      })
      stream.resume()
    }
  }
  const app = new App().use(forms(options)).use(async context => (await context['forms.Form'].read()).files[0]?.size)
  const chunk = Buffer.alloc(16_384, 'x')
  const body = (async function* () {
    yield Buffer.from(`${multipartText([file('a', 'a', '')], '').slice(0, -4)}\r\n`)
    for (; sent < 100; sent++) yield chunk
    yield Buffer.from('\r\n--xyz--\r\n')
  })()
  const answer = app.invoke(post(body))
  await idle()
  expect(sent).toBeLessThan(20)
  resume()
  expect(Number(await (await answer).text())).toBeGreaterThanOrEqual(100 * 16_384)
})

test('ends an upload that is aborted or slower than the deadline: the file is unlinked', async () => {
  const clock = virtualClock()
  const failures: string[] = []
  const app = new App({ clock, logger: false })
    .use(http({ port: 0, clock }))
    .use(forms(toDisk()))
    .use(async context => {
      await context['forms.Form'].read().catch((error: { code: string }) => {
        failures.push(error.code)
        throw error
      })
    })
  const [listener] = await app.listen()
  const open = async () => {
    const socket = connect(Number(listener!.url.port), '127.0.0.1')
    const text = multipartText([file('a', 'a', 'x'.repeat(50_000))], '').slice(0, -4)
    socket.on('error', () => undefined)
    socket.write(`POST /form HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=xyz\r\nContent-Length: 900000\r\n\r\n${text}`)
    await expect.poll(left).toHaveLength(1)
    return socket
  }
  const aborted = await open()
  aborted.destroy()
  await expect.poll(left).toEqual([])
  const slow = await open()
  let answered = ''
  slow.on('data', data => {
    answered += String(data)
  })
  await clock.advance(40_000)
  await expect.poll(() => answered).toContain('HTTP/1.1 504')
  await expect.poll(left).toEqual([])
  slow.destroy()
  await expect.poll(() => failures.length).toBe(2)
  await app.close()
  expect(app.live).toBe(0)
})

test('ends the stream of a handler that waits when the time of the request is over', async () => {
  const clock = virtualClock()
  let taken = false
  let failed = false
  const files: FormsOptions['files'] = ({ stream }) => {
    taken = true
    return new Promise((_, reject) => {
      stream.once('error', error => {
        failed = true
        reject(error)
      })
    })
  }
  const app = new App({ clock, logger: false }).use(http({ port: 0, clock })).use(forms({ files }))
  app.use(async context => (await context['forms.Form'].read()).files.length)
  const [listener] = await app.listen()
  const socket = connect(Number(listener!.url.port), '127.0.0.1').on('error', () => undefined)
  const text = multipartText([file('a', 'a', 'x'.repeat(500_000))], '').slice(0, -4)
  socket.write(`POST /form HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=xyz\r\nContent-Length: 900000\r\n\r\n${text}`)
  await expect.poll(() => taken).toBe(true)
  await clock.advance(40_000)
  await expect.poll(() => failed).toBe(true)
  socket.destroy()
  await app.close()
  expect(app.live).toBe(0)
})
