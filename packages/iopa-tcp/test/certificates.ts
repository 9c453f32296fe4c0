import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

interface Certificate {
  readonly key: string
  readonly cert: string
}

export interface Certificates {
  readonly ca: string
  /** For localhost and 127.0.0.1. */
  readonly server: Certificate
  /** Another one for the same names. */
  readonly renewed: Certificate
  readonly client: Certificate
}

const succeeds = (program: string, ...args: string[]): boolean => {
  try {
    execFileSync(program, args, { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** True where certificates can be made. */
export const hasOpenssl: boolean = succeeds('openssl', 'version')
if (!hasOpenssl && process.env['IOPA_REQUIRE_PEERS']) throw new Error('openssl is missing; apt-get install openssl')

/** An authority and what it has signed, made by openssl for one run. */
export function certificates(): Certificates {
  const folder = mkdtempSync(join(tmpdir(), 'iopa-tcp-'))
  const openssl = (command: string): void => void execFileSync('openssl', command.split(' '), { cwd: folder, stdio: 'ignore' })
  const key = '-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
  const read = (name: string): string => readFileSync(join(folder, name), 'utf8')
  try {
    openssl(`req -x509 ${key} -keyout ca.key -out ca.crt -days 2 -subj /CN=authority`)
    writeFileSync(join(folder, 'names.cnf'), 'subjectAltName=DNS:localhost,IP:127.0.0.1\n')
    const signed = (name: string): Certificate => {
      openssl(`req ${key} -keyout ${name}.key -out ${name}.csr -subj /CN=${name}`)
      openssl(`x509 -req -in ${name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out ${name}.crt -days 2 -extfile names.cnf`)
      return { key: read(`${name}.key`), cert: read(`${name}.crt`) }
    }
    return { ca: read('ca.crt'), server: signed('server'), renewed: signed('renewed'), client: signed('client') }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
