import { randomBytes } from 'node:crypto';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runCommand } from './command.ts';

export interface Certificate {
  readonly certPath: string;
  readonly keyPath: string;
}

export interface Subject {
  readonly commonName: string;
  /** What Kubernetes reads as the user's group. */
  readonly organization?: string;
}

/** When a certificate may be used; the other times of a test are now. */
interface Validity {
  readonly from: Date;
  readonly to: Date;
}

/** Longer than any run, short enough that a forgotten key is soon worthless. */
const days = '2';

/** The second half is for `openssl ca`, the only command of OpenSSL 3.0 that takes dates. */
const CONFIGURATION = `[req]
distinguished_name = subject
[subject]
[ca]
default_ca = dated
[dated]
database = index.txt
new_certs_dir = .
default_md = sha256
rand_serial = yes
unique_subject = no
copy_extensions = copyall
policy = any
[any]
organizationName = optional
commonName = supplied
`;

/** A certificate authority in a folder of its own, and what it has signed. Only the owner can read the folder. */
export class Pki {
  readonly dir: string;
  readonly ca: Certificate;

  private constructor(dir: string) {
    this.dir = dir;
    this.ca = this.#pathsOf('ca');
  }

  static async create(dir: string): Promise<Pki> {
    await mkdir(dir, { recursive: true, mode: 0o700 });
    const pki = new Pki(dir);
    // A configuration of our own: that of the machine may add extensions, and would mark every certificate as a CA.
    await writeFile(pki.#configPath, CONFIGURATION, { mode: 0o600 });
    await pki.#request('ca', { commonName: 'reprieve-test-ca' }, [
      'basicConstraints=critical,CA:TRUE',
      'keyUsage=critical,keyCertSign,cRLSign,digitalSignature',
    ]);
    return pki;
  }

  /**
   * A certificate good for servers and clients. The same name again makes a new one in the same place.
   *
   * @example
   * const serving = await pki.certificate('reprieve', { commonName: 'reprieve' }, ['DNS:localhost', 'IP:10.77.0.1']);
   */
  async certificate(name: string, subject: Subject, alternativeNames: readonly string[] = []): Promise<Certificate> {
    const names = alternativeNames.length === 0 ? [] : [`subjectAltName=${alternativeNames.join(',')}`];
    await this.#request(
      name,
      subject,
      ['basicConstraints=critical,CA:FALSE', 'extendedKeyUsage=serverAuth,clientAuth', ...names],
      ['-CA', this.ca.certPath, '-CAkey', this.ca.keyPath],
    );
    return this.#pathsOf(name);
  }

  /** Signs the certificate again, with other dates. Its key stays. */
  async dated(certificate: Certificate, { from, to }: Validity): Promise<Certificate> {
    const { certPath, keyPath } = certificate;
    const request = `${certPath}.csr`;
    await writeFile(join(this.dir, 'index.txt'), '', { mode: 0o600 });
    await runCommand('openssl', [
      'x509',
      '-x509toreq',
      '-copy_extensions',
      'copyall',
      '-in',
      certPath,
      '-signkey',
      keyPath,
      '-out',
      request,
    ]);
    const dates = ['-startdate', openSslDate(from), '-enddate', openSslDate(to)];
    const signer = ['-cert', this.ca.certPath, '-keyfile', this.ca.keyPath];
    const ca = ['ca', '-batch', '-notext', '-config', this.#configPath, '-in', request, '-out', certPath];
    await runCommand('openssl', [...ca, ...dates, ...signer], { cwd: this.dir });
    return certificate;
  }

  /** The pair that signs service account tokens. `certPath` holds the public key alone. */
  async keyPair(name: string): Promise<Certificate> {
    const pair = { certPath: join(this.dir, `${name}.pub`), keyPath: join(this.dir, `${name}.key`) };
    const curve = 'ec_paramgen_curve:P-256';
    await runCommand('openssl', ['genpkey', '-algorithm', 'EC', '-pkeyopt', curve, '-out', pair.keyPath]);
    await runCommand('openssl', ['pkey', '-in', pair.keyPath, '-pubout', '-out', pair.certPath]);
    await Promise.all([chmod(pair.keyPath, 0o600), chmod(pair.certPath, 0o600)]);
    return pair;
  }

  /** Path of a kubeconfig that reaches `server` with this certificate. */
  async kubeconfig(name: string, server: string, user: Certificate): Promise<string> {
    const path = join(this.dir, `${name}.kubeconfig`);
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'test', cluster: { server, 'certificate-authority': this.ca.certPath } }],
      users: [{ name, user: { 'client-certificate': user.certPath, 'client-key': user.keyPath } }],
      contexts: [{ name: 'test', context: { cluster: 'test', user: name } }],
      'current-context': 'test',
    };
    await writeFile(path, `${JSON.stringify(config, undefined, 2)}\n`, { mode: 0o600 });
    return path;
  }

  get #configPath(): string {
    return join(this.dir, 'openssl.cnf');
  }

  #pathsOf(name: string): Certificate {
    return { certPath: join(this.dir, `${name}.crt`), keyPath: join(this.dir, `${name}.key`) };
  }

  /** Elliptic keys, because RSA keys take seconds to find. */
  async #request(name: string, subject: Subject, extensions: readonly string[], signer: readonly string[] = []) {
    const { certPath, keyPath } = this.#pathsOf(name);
    const organization = subject.organization === undefined ? '' : `/O=${subject.organization}`;
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-noenc', '-keyout', keyPath];
    const identity = ['-subj', `${organization}/CN=${subject.commonName}`];
    const serial = ['-set_serial', `0x1${randomBytes(8).toString('hex')}`];
    const added = extensions.flatMap((extension) => ['-addext', extension]);
    const request = ['req', '-x509', '-new', '-config', this.#configPath, '-days', days, '-out', certPath];
    await runCommand('openssl', [...request, ...key, ...identity, ...serial, ...signer, ...added]);
    await Promise.all([chmod(keyPath, 0o600), chmod(certPath, 0o600)]);
  }
}

/** `20260102030405Z` */
function openSslDate(date: Date): string {
  return `${date.toISOString().slice(0, 19).replace(/[-T:]/g, '')}Z`;
}
