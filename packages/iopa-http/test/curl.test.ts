import { execFile, spawnSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import { serve } from './support.ts'

const missing = spawnSync('curl', ['--version']).status !== 0
if (missing && process.env['IOPA_REQUIRE_PEERS'] === '1') throw new Error('curl is missing, and IOPA_REQUIRE_PEERS=1')

const curl = (...args: readonly string[]): Promise<string> =>
  new Promise((resolve, reject) => {
    execFile('curl', ['--silent', '--show-error', '--max-time', '10', '--noproxy', '*', ...args], (error, stdout, stderr) =>
      error === null ? resolve(stdout) : reject(new Error(stderr || error.message))
    )
  })

describe.skipIf(missing)('curl', () => {
  test('gets, puts and heads', async () => {
    const { origin } = await serve(async context => `${context.method} ${context.path} ${await context.text()}`)
    expect(await curl(`${origin}/lights/hall`)).toBe('GET /lights/hall ')
    expect(await curl('-X', 'PUT', '-d', '{"on":true}', `${origin}/lights/hall`)).toBe('PUT /lights/hall {"on":true}')
    expect(await curl('-I', origin)).toMatch(/^HTTP\/1\.1 200 OK\r\n(?:.|\s)*content-length: 7\r\n/)
  })

  test('gets an error that names the missing header for JSON', async () => {
    const { origin } = await serve(context => context.json())
    expect(JSON.parse(await curl('-d', '{"on":true}', origin))).toMatchObject({
      status: 415,
      detail: expect.stringContaining('content-type: application/json')
    })
  })

  test('uploads with Expect: 100-continue, and is refused before it sends too much', async () => {
    const { origin } = await serve(async context => String((await context.bytes()).length), { limits: { body: 3e6 } })
    const upload = (size: number): Promise<string> =>
      curl('-H', 'Expect: 100-continue', '-d', 'x'.repeat(size), '-w', ' %{http_code} %{size_upload}', '-o', '-', origin)
    expect(await upload(100_000)).toBe('100000 200 100000')
    const { origin: small } = await serve(async context => String((await context.bytes()).length), { limits: { body: 1000 } })
    expect(await curl('-H', 'Expect: 100-continue', '-d', 'x'.repeat(100_000), '-w', ' %{http_code} %{size_upload}', small)).toMatch(/ 413 0$/)
  })

  test('requests HTTP/2 without success and reuses its connection', async () => {
    const { origin } = await serve(context => context.path)
    expect(await curl('--http2', '-w', ' %{http_version} %{num_connects};', `${origin}/a`, `${origin}/b`)).toBe('/a 1.1 1;/b 1.1 0;')
  })

  test('detects a broken stream, over HTTP/1.0 and HTTP/1.1', async () => {
    const { origin } = await serve(() =>
      (async function* () {
        yield new TextEncoder().encode('half')
        throw new Error('the disk has failed')
      })()
    )
    for (const version of ['--http1.0', '--http1.1']) await expect(curl(version, origin), version).rejects.toThrow()
  })

  test('requests HTTP/2 without success and continues with HTTP/1.1', async () => {
    const { origin } = await serve(() => 'x')
    expect(await curl('--http2', '-w', ' %{http_version}', origin)).toBe('x 1.1')
  })

  test('gets changes by server-sent events', async () => {
    let on = false
    const { app, origin } = await serve(() => ({ on }))
    const child = execFile('curl', ['-sN', '--noproxy', '*', '--max-time', '10', '-H', 'accept: text/event-stream', `${origin}/hall`])
    let heard = ''
    await new Promise<void>(resolve => {
      child.stdout?.on('data', data => {
        heard += data
        if (heard.includes('"on":true')) resolve()
        else if (!on) {
          on = true
          app.notify('/hall')
        }
      })
    })
    child.kill()
    expect(heard).toMatch(/data: \{"on":false\}\n\n(?:.|\s)*data: \{"on":true\}\n\n/)
  })
})
