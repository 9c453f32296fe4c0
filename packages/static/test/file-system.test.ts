import { execFileSync } from 'node:child_process'
import {
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'
import { buildSync } from 'esbuild'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { fileSystem } from '../src/file-system.ts'
import type { FileSource } from '../src/source.ts'

const base = realpathSync(mkdtempSync(join(tmpdir(), 'iopa-static-')))
const root = join(base, 'public')
const SECRET = 'the secret'
/** How often a folder and a file are swapped for links while they are read. */
const SWAPS = Number(process.env['IOPA_SWAPS'] ?? 600)

const text = async (source: FileSource, path: string): Promise<string | undefined> => {
  const file = await source.open(path)
  if (file === undefined) return undefined
  const bytes = await file.read(0, file.info.size)
  await file.close()
  return new TextDecoder().decode(bytes)
}

/** Open descriptors that lead below the test folder. */
const descriptors = (): number =>
  readdirSync('/proc/self/fd').filter(fd => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(base)
    } catch {
      return false
    }
  }).length

beforeAll(() => {
  mkdirSync(join(root, 'docs'), { recursive: true })
  mkdirSync(join(base, 'public-old'))
  mkdirSync(join(base, 'outside'))
  writeFileSync(join(root, 'a.txt'), '0123456789')
  writeFileSync(join(root, 'empty'), '')
  writeFileSync(join(root, 'docs', 'b.txt'), 'b')
  writeFileSync(join(base, 'secret.txt'), SECRET)
  writeFileSync(join(base, 'outside', 'secret.txt'), SECRET)
  writeFileSync(join(base, 'public-old', 'secret.txt'), SECRET)
  symlinkSync('docs/b.txt', join(root, 'inside-link'))
  symlinkSync('docs', join(root, 'inside-folder'))
  symlinkSync('../secret.txt', join(root, 'outside-link'))
  symlinkSync(join(base, 'secret.txt'), join(root, 'absolute-link'))
  symlinkSync('../outside', join(root, 'outside-folder'))
  symlinkSync('../public-old', join(root, 'sibling'))
  symlinkSync('../public/a.txt', join(root, 'out-and-in'))
  symlinkSync('loop', join(root, 'loop'))
  symlinkSync('nowhere', join(root, 'dangling'))
  symlinkSync('inside-link', join(root, 'chain'))
  symlinkSync('outside-link', join(root, 'outside-chain'))
  symlinkSync('/dev/zero', join(root, 'zero'))
  symlinkSync(root, join(base, 'current'))
})

afterAll(() => rmSync(base, { recursive: true, force: true }))

describe('file system', () => {
  test('refuses a root that is not a folder at once, with its name', () => {
    expect(() => fileSystem(join(base, 'missing'))).toThrow(/missing/)
    expect(() => fileSystem(join(root, 'a.txt'))).toThrow(/no folder/)
    expect(() => fileSystem(pathToFileURL(root))).not.toThrow()
  })

  test('reports kind, size and time', async () => {
    const source = fileSystem(root)
    expect(await source.stat('/a.txt')).toMatchObject({ kind: 'file', size: 10 })
    expect(await source.stat('/docs')).toMatchObject({ kind: 'directory', size: 0 })
    expect(await source.stat('/')).toMatchObject({ kind: 'directory' })
    expect(await source.stat('/missing')).toBeUndefined()
    expect(await source.stat('/a.txt/x')).toBeUndefined()
  })

  test('reads only the requested bytes', async () => {
    const file = (await fileSystem(root).open('/a.txt'))!
    expect(new TextDecoder().decode(await file.read(2, 5))).toBe('234')
    expect(new TextDecoder().decode(await file.read(8, 20))).toBe('89')
    expect((await file.read(10, 20)).length).toBe(0)
    await file.close()
    await file.close()
    await expect(file.read(0, 1)).rejects.toThrow()
  })

  test('changes the version with the content, even if size and modification time are restored', async () => {
    const path = join(root, 'versioned')
    execFileSync('sh', ['-c', `printf aaaa > ${path}; touch -d 2020-01-01 ${path}`])
    const source = fileSystem(root)
    const before = await source.stat('/versioned')
    execFileSync('sh', ['-c', `printf bbbb > ${path}; touch -d 2020-01-01 ${path}`])
    const after = await source.stat('/versioned')
    expect(after!.lastModified).toBe(before!.lastModified)
    expect(after!.version).not.toBe(before!.version)
    expect(after!.version).toMatch(/^[0-9a-z-]+$/)
  })

  describe('symbolic links', () => {
    test('inside-root: follows links that stay inside', async () => {
      const source = fileSystem(root)
      for (const path of ['/inside-link', '/inside-folder/b.txt', '/chain']) expect(await text(source, path), path).toBe('b')
      expect(await text(source, '/out-and-in')).toBe('0123456789')
      for (const path of [
        '/outside-link',
        '/absolute-link',
        '/outside-folder/secret.txt',
        '/sibling/secret.txt',
        '/outside-chain',
        '/loop',
        '/dangling',
        '/zero'
      ]) {
        expect(await text(source, path), path).toBeUndefined()
        expect(await source.stat(path), path).toBeUndefined()
      }
      expect(await source.stat('/outside-folder')).toBeUndefined()
    })

    test('deny: follows none', async () => {
      const source = fileSystem(root, { symlinks: 'deny' })
      expect(await text(source, '/a.txt')).toBe('0123456789')
      for (const path of ['/inside-link', '/inside-folder/b.txt', '/chain', '/out-and-in', '/outside-link'])
        expect(await text(source, path), path).toBeUndefined()
    })

    test('follow: follows all, but does not open devices', async () => {
      const source = fileSystem(root, { symlinks: 'follow' })
      for (const path of ['/outside-link', '/absolute-link', '/outside-folder/secret.txt']) expect(await text(source, path), path).toBe(SECRET)
      for (const path of ['/zero', '/loop', '/dangling']) expect(await text(source, path), path).toBeUndefined()
    })

    test('allows a root that is a link and is re-pointed while serving', async () => {
      const source = fileSystem(join(base, 'current'))
      expect(await text(source, '/a.txt')).toBe('0123456789')
      mkdirSync(join(base, 'release'))
      writeFileSync(join(base, 'release', 'a.txt'), 'new')
      symlinkSync('release', join(base, 'next'))
      renameSync(join(base, 'next'), join(base, 'current'))
      expect(await text(source, '/a.txt')).toBe('new')
    })
  })

  test('refuses names that are not plain paths below the root', async () => {
    const source = fileSystem(root)
    for (const path of [
      '',
      'a.txt',
      '/../secret.txt',
      '/docs/../../secret.txt',
      '/./a.txt',
      '//a.txt',
      '/docs//b.txt',
      '/a.txt\0',
      '/..\\secret.txt',
      '/docs/',
      '/../public-old/secret.txt'
    ]) {
      expect(await source.stat(path), path).toBeUndefined()
      expect(await source.open(path), path).toBeUndefined()
    }
    expect(await source.stat(`/${'x'.repeat(300)}`)).toBeUndefined()
    expect(await source.stat(`/${'x/'.repeat(5000)}x`)).toBeUndefined()
  })

  test("refuses names with a colon and device names unless names is 'posix'", async () => {
    const source = fileSystem(root, { names: 'posix' })
    for (const name of ['12:30.log', 'aux.js']) {
      writeFileSync(join(root, name), name)
      expect(await text(fileSystem(root), `/${name}`)).toBeUndefined()
      expect(await text(source, `/${name}`)).toBe(name)
      expect((await source.list?.('/', 100))?.some(entry => entry.name === name)).toBe(true)
      unlinkSync(join(root, name))
    }
    for (const path of ['/../secret.txt', '/docs/../../secret.txt', '/docs\\b.txt', '/a.txt.']) expect(await text(source, path), path).toBeUndefined()
  })

  test('refuses a FIFO, a socket and a device without waiting', async () => {
    execFileSync('mkfifo', [join(root, 'fifo')])
    const server = createServer()
    await new Promise<void>(done => server.listen(join(root, 'socket'), done))
    try {
      execFileSync('mknod', [join(root, 'device'), 'c', '1', '5'], { stdio: 'ignore' })
    } catch {
      // Not permitted without privileges; the link to /dev/zero covers it.
    }
    const source = fileSystem(root)
    for (const path of ['/fifo', '/socket', '/device', '/docs']) expect(await source.open(path), path).toBeUndefined()
    expect(await source.stat('/fifo')).toBeUndefined()
    await new Promise(done => server.close(done))
    unlinkSync(join(root, 'fifo'))
  })

  test('refuses a file that a FIFO replaces between stat and open, without waiting', async () => {
    const path = join(root, 'turning')
    const source = fileSystem(root)
    const fifo = join(base, 'fifo')
    execFileSync('mkfifo', [fifo])
    let refused = 0
    for (let round = 0; round < 200; round++) {
      writeFileSync(path, 'x')
      linkSync(fifo, `${path}-fifo`)
      const opening = source.open('/turning')
      // Later each round: from before the first look at the path to after the open.
      for (let turns = round % 20; turns > 0; turns--) await new Promise(resolve => setImmediate(resolve))
      renameSync(`${path}-fifo`, path)
      const file = await opening
      if (file === undefined) refused++
      else {
        expect(file.info.kind).toBe('file')
        await file.close()
      }
      unlinkSync(path)
    }
    expect(refused).toBeGreaterThan(0)
    expect(descriptors()).toBe(0)
  })

  test('never reads outside the root while a folder is repeatedly swapped for a link', async () => {
    const folder = join(root, 'swap')
    mkdirSync(folder)
    writeFileSync(join(folder, 'secret.txt'), 'harmless')
    mkdirSync(join(root, 'leaf'))
    writeFileSync(join(root, 'leaf', 'secret.txt'), 'harmless')
    const worker = new Worker(
      `const { renameSync, symlinkSync, unlinkSync, writeFileSync } = require('node:fs')
       const { workerData, parentPort } = require('node:worker_threads')
       const { folder, leaf, outside, secret } = workerData
       let rounds = 0
       while (rounds < workerData.swaps) {
         renameSync(folder, folder + '-away')
         symlinkSync(outside, folder)
         unlinkSync(folder)
         renameSync(folder + '-away', folder)
         symlinkSync(secret, leaf + '-link')
         renameSync(leaf + '-link', leaf)
         writeFileSync(leaf + '-plain', 'harmless')
         renameSync(leaf + '-plain', leaf)
         rounds++
       }
       parentPort.postMessage(rounds)`,
      {
        eval: true,
        workerData: { swaps: SWAPS, folder, leaf: join(root, 'leaf', 'secret.txt'), outside: join(base, 'outside'), secret: join(base, 'secret.txt') }
      }
    )
    const rounds = new Promise<number>((done, fail) => worker.once('message', done).once('error', fail))
    let running = true
    rounds.finally(() => {
      running = false
    })
    const seen = new Map<string | undefined, number>()
    const sources = [fileSystem(root), fileSystem(root, { symlinks: 'deny' })]
    const reader = async (source: FileSource, path: string): Promise<void> => {
      while (running) {
        const content = await text(source, path)
        seen.set(content, (seen.get(content) ?? 0) + 1)
      }
    }
    await Promise.all(sources.flatMap(source => [reader(source, '/swap/secret.txt'), reader(source, '/leaf/secret.txt')]))
    expect(await rounds).toBeGreaterThan(100)
    expect(seen.get('harmless')).toBeGreaterThan(0)
    expect(seen.get(undefined)).toBeGreaterThan(0)
    expect(seen.has(SECRET)).toBe(false)
    expect(descriptors()).toBe(0)
  }, 20_000)

  test('keeps reading the opened file after it is replaced', async () => {
    const path = join(root, 'stays')
    writeFileSync(path, 'first')
    const file = (await fileSystem(root).open('/stays'))!
    unlinkSync(path)
    writeFileSync(path, 'second')
    expect(new TextDecoder().decode(await file.read(0, file.info.size))).toBe('first')
    await file.close()
  })

  test('detects a write to an open file', async () => {
    const path = join(root, 'written')
    writeFileSync(path, 'first')
    const file = (await fileSystem(root).open('/written'))!
    expect(await file.isUnchanged!()).toBe(true)
    writeFileSync(path, 'other')
    expect(await file.isUnchanged!()).toBe(false)
    await file.close()
  })

  test('reads a shortened file as ended', async () => {
    const path = join(root, 'shrinks')
    writeFileSync(path, 'x'.repeat(1000))
    const file = (await fileSystem(root).open('/shrinks'))!
    truncateSync(path, 10)
    expect((await file.read(0, 1000)).length).toBe(10)
    expect((await file.read(10, 1000)).length).toBe(0)
    await file.close()
  })

  test('lists only names that it serves, within the limit', async () => {
    const source = fileSystem(root)
    const names = (await source.list!('/', 1000)).map(({ name, kind }) => `${name} ${kind}`)
    expect(names).toEqual(expect.arrayContaining(['a.txt file', 'docs directory', 'inside-link file', 'inside-folder directory']))
    for (const name of ['outside-link file', 'outside-folder directory', 'loop file', 'dangling file', 'zero file']) expect(names).not.toContain(name)
    expect((await source.list!('/', 3)).length).toBe(3)
    expect(await source.list!('/outside-folder', 10)).toEqual([])
    expect(await source.list!('/missing', 10)).toEqual([])
  })

  test('reports exhausted descriptors, and recovers when some are free', () => {
    const script = `
      import { closeSync, openSync } from 'node:fs'
      import { fileSystem } from '../src/file-system.ts'
      const main = async () => {
        const source = fileSystem(process.argv[2])
        const first = await source.open('/a.txt')
        const held = []
        try { for (;;) held.push(openSync('/dev/null')) } catch {}
        const error = await source.open('/a.txt').catch(error => error)
        for (const fd of held) closeSync(fd)
        const again = await source.open('/a.txt')
        console.log(error.status, error.code, error.headers['retry-after'], again.info.size)
      }
      main()`
    const program = join(base, 'exhaust.mjs')
    buildSync({
      stdin: { contents: script, resolveDir: import.meta.dirname },
      outfile: program,
      bundle: true,
      platform: 'node',
      format: 'esm',
      conditions: ['@iopa/source'],
      logLevel: 'error'
    })
    const command = ['-c', 'ulimit -n 256; exec "$@"', 'sh', process.execPath, program, root]
    expect(execFileSync('sh', command, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()).toBe('503 files-exhausted 1 10')
  })

  test('leaves no descriptor open', () => expect(descriptors()).toBe(0))
})
