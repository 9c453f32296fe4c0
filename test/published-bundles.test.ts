import { execFile, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const run = promisify(execFile)
const root = new URL('..', import.meta.url).pathname
const built = existsSync(join(root, 'packages/iopa-mqtt/dist'))

describe.skipIf(!built)('published packages', () => {
  let place: string
  beforeAll(() => {
    place = mkdtempSync(join(tmpdir(), 'iopa-shipping-'))
  })
  afterAll(() => rmSync(place, { recursive: true, force: true }))

  const PACKAGES = ['coap', 'http', 'mqtt', 'tcp', 'udp']
  test.each(PACKAGES)('@iopa/%s runs from one ESM file of esbuild, without installed packages', async name => {
    const file = join(place, `${name}.mjs`)
    await build({
      stdin: {
        contents: `
          import { App } from '@iopa/appbuilder'
          import { ${name} } from '@iopa/${name}'
          const app = new App().use(${name}({ port: 0 })).use(() => 'x')
          const [listener] = await app.listen()
          console.log(listener.url.protocol)
          await app.close({ timeout: 100 })`,
        resolveDir: root
      },
      bundle: true,
      platform: 'node',
      format: 'esm',
      outfile: file,
      logLevel: 'silent'
    })
    expect((await run(process.execPath, [file], { cwd: place, timeout: 10_000 })).stdout.trim()).toBe(`${name}:`)
  })

  // A folder without "type": "module", as mkdir makes it: its .ts files are CommonJS, where no await may stand outside a function.
  test.each(['README.md', 'docs/guides/a-first-app.md'])('the first app of %s runs in a folder with only its installed packages', async document => {
    const text = readFileSync(join(root, document), 'utf8')
    const [, code = ''] = /<!-- run -->\n```ts\n(.*?)```/s.exec(text) ?? []
    const [, file = ''] = /`npx tsx ([\w.]+)`/.exec(text) ?? []
    const files = [...text.matchAll(/<!-- file ([\w.]+) -->\n```ts\n(.*?)```/gs)]
    const folder = mkdtempSync(join(place, 'first-'))
    writeFileSync(
      join(folder, 'package.json'),
      JSON.stringify({ name: 'first', ...(text.includes('npm pkg set type=module') ? { type: 'module' } : {}) })
    )
    for (const [, name = '', content = ''] of files) writeFileSync(join(folder, name), content)
    writeFileSync(join(folder, file), `${code.replace(/\bport: \d+/g, 'port: 0')}\nconsole.log('listens')\n`)
    mkdirSync(join(folder, 'node_modules/@iopa'), { recursive: true })
    for (const [own, name] of [
      ['appbuilder', 'appbuilder'],
      ['router', 'router'],
      ['resource', 'resource'],
      ['store', 'store'],
      ['iopa-http', 'http']
    ] as const)
      symlinkSync(join(root, 'packages', own), join(folder, 'node_modules/@iopa', name))
    symlinkSync(join(root, 'node_modules/zod'), join(folder, 'node_modules/zod'))
    const child = spawn(process.execPath, [join(root, 'node_modules/tsx/dist/cli.mjs'), file], { cwd: folder })
    let output = ''
    const heard = new Promise<void>(resolve => {
      const hear = (data: unknown): void => {
        output += data
        if (output.includes('listens')) resolve()
      }
      child.stdout.on('data', hear)
      child.stderr.on('data', hear)
      child.once('exit', () => resolve())
    })
    try {
      await heard
      expect(output).not.toMatch(/\bError\b|ERR_/)
      expect(output.trim().split('\n').at(-1)).toBe('listens')
    } finally {
      child.kill()
    }
  })
})
