// A client process of the conformance test that uses openid-client as its
// documentation shows: clientCredentialsGrant for a token, fetchProtectedResource
// for a call. The library keeps no tokens, so this program keeps the last one until
// it expires, which is what a reader of that documentation writes.
//
// docs/clients.md describes the protocol. Tried with openid-client 6.9.0; `npm
// install --prefix DIRECTORY openid-client@6.9.0`, and this file copied there, run it.
import { createInterface } from 'node:readline'
import { inspect } from 'node:util'
import * as client from 'openid-client'

// The clock stands still and moves by the operation advance.
let now = Date.parse('2026-03-01T12:00:00Z')
Date.now = () => now

const sources = new Map()
const write = (line) => process.stdout.write(JSON.stringify(line) + '\n')

function open(command) {
  const server = { issuer: new URL(command.token_url).origin, token_endpoint: command.token_url }
  const style = command.auth_style === 'post' ? client.ClientSecretPost : client.ClientSecretBasic
  const config = new client.Configuration(server, command.client_id, undefined, style(command.client_secret))
  client.allowInsecureRequests(config)
  const source = { config, current: undefined }
  source.token = async () => {
    if (source.current === undefined || now >= source.current.expires) {
      const parameters = {}
      if (command.scopes?.length) parameters.scope = command.scopes.join(' ')
      const answer = await client.clientCredentialsGrant(config, parameters)
      source.current = { value: answer.access_token, expires: now + (answer.expiresIn() ?? 0) * 1000 }
    }
    return source.current.value
  }
  sources.set(command.source, source)
}

async function tokens(source, command) {
  const asked = Array.from({ length: command.count || 1 }, () => source.token())
  const got = await Promise.allSettled(asked)
  const failed = got.filter((g) => g.status === 'rejected')
  const distinct = new Set(got.filter((g) => g.status === 'fulfilled').map((g) => g.value))
  return { tokens: [...distinct], failed: failed.length, error: failed.length ? String(failed[0].reason) : '' }
}

async function call(source, command) {
  let body = command.body || undefined
  if (body && command.stream) body = new Blob([body]).stream()
  try {
    const response = await client.fetchProtectedResource(
      source.config, await source.token(), new URL(command.url), command.method, body, new Headers())
    return { status: response.status, body: await response.text() }
  } catch (error) {
    // The library reports a challenge as an error that holds the response.
    if (error.response?.status) return { status: error.response.status, error: String(error) }
    return { status: error.status, error: String(error) }
  }
}

write({ ready: true, name: 'openid-client', capabilities: ['clock', 'call', 'stream'] })
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line)
  const source = sources.get(command.source)
  const answer = (more) => write({ id: command.id, ...more })
  switch (command.op) {
    case 'open':
      open(command)
      answer({})
      break
    case 'advance':
      now += command.milliseconds
      answer({})
      break
    case 'print':
      answer({ text: `${inspect(source.config)} ${JSON.stringify(source.config)}` })
      break
    case 'token':
      tokens(source, command).then(answer)
      break
    case 'call':
      call(source, command).then(answer)
      break
  }
}
